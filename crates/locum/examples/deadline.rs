//! A call that has 500 milliseconds. When they are over its caller goes on, and its handler hears of it:
//! neither works in vain.
//!
//!     cargo run -p locum --example deadline

use std::time::Duration;

use locum::{CallError, Cx, Server};
use tokio::sync::mpsc;

#[locum::service]
pub trait Library {
    /// Takes its time.
    async fn search(&self, cx: &Cx, words: String) -> Result<Vec<String>, CallError>;
}

pub struct Shelves {
    /// Where it tells what became of its searches.
    told: mpsc::UnboundedSender<String>,
}

impl Library for Shelves {
    async fn search(&self, cx: &Cx, words: String) -> Result<Vec<String>, CallError> {
        let left = cx.remaining().unwrap_or(Duration::MAX);
        // The work goes on by itself, as a query to a database would, and is told when to stop.
        let (cx, told) = (cx.clone(), self.told.clone());
        let work = tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(60)) => vec![words],
                () = cx.cancelled() => {
                    drop(told.send(format!("stopped looking for {words}, which had {left:.0?}")));
                    Vec::new()
                }
            }
        });
        work.await.map_err(|_| "the search broke".into())
    }
}

/// Asks, and gives back why there was no answer.
async fn hurry(library: &impl Library) -> Option<CallError> {
    let cx = Cx::new().with_timeout(Duration::from_millis(500));
    library.search(&cx, "a needle".to_owned()).await.err()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (told, mut hears) = mpsc::unbounded_channel();
    let server = Server::new().serve(LibraryServer::new(Shelves { told }));
    let bound = server.listen("tcp://127.0.0.1:0").bind().await?;
    let library: LibraryProxy = LibraryProxy::connect(bound.addresses()[0].to_string()).build()?;
    tokio::spawn(bound.run());

    println!("the caller: {:?}", hurry(&library).await.map(|error| error.to_string()));
    println!("the handler: {:?}", hears.recv().await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_handler_hears_that_its_time_is_over() {
        let (told, mut hears) = mpsc::unbounded_channel();
        let server = Server::new().serve(LibraryServer::new(Shelves { told }));
        let bound = server.listen("tcp://127.0.0.1:0").bind().await.unwrap();
        let url = bound.addresses()[0].to_string();
        let library: LibraryProxy = LibraryProxy::connect(url).build().unwrap();
        tokio::spawn(bound.run());
        let Some(CallError::Rejected(rejection)) = hurry(&library).await else {
            panic!("it was in time")
        };
        assert_eq!(rejection.kind, "deadline");
        let heard = hears.recv().await.unwrap();
        assert!(heard.starts_with("stopped looking for a needle, which had "), "{heard}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_the_same_without_a_wire() {
        let (told, mut hears) = mpsc::unbounded_channel();
        let library = LibraryProxy::wrap(Shelves { told }, None);
        assert!(matches!(hurry(&library).await, Some(CallError::Rejected(_))));
        let heard = hears.recv().await.unwrap();
        assert_eq!(heard, "stopped looking for a needle, which had 500ms");
    }
}
