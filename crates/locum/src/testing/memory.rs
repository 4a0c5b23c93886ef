//! A server in the program of its callers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinHandle;

use super::Faults;
use crate::Server;
use crate::server::BindError;
use crate::transport::{Dialer, Io, memory};

/// A server that is reached without a socket: see [`serve`]. Dropped, it is gone, with its connections.
#[derive(Debug)]
pub struct Memory {
    dialer: Dialer,
    server: JoinHandle<Result<(), BindError>>,
}

/// Runs `server` in this program. What connects to it speaks the real protocols, whichever a URL names; the
/// host in it is for the eye.
///
/// ```
/// # #[locum::service]
/// # trait Arith {
/// #     async fn add(&self, a: i64, b: i64) -> Result<i64, locum::CallError>;
/// # }
/// # struct RealArith;
/// # impl Arith for RealArith {
/// #     async fn add(&self, a: i64, b: i64) -> Result<i64, locum::CallError> { Ok(a + b) }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use locum::{Server, testing};
///
/// let memory = testing::serve(Server::new().serve(ArithServer::new(RealArith)));
/// let arith = ArithProxy::connect("gob://arith:1").connector(memory.connector()).build().unwrap();
/// assert_eq!(arith.add(7, 8).await, Ok(15));
/// # }
/// ```
///
/// # Panics
///
/// When used outside a Tokio runtime.
pub fn serve(server: Server) -> Memory {
    let (dialer, listener) = memory();
    let server = tokio::spawn(server.listen_on(listener).run());
    Memory { dialer, server }
}

impl Memory {
    /// Connects to it, as a channel's builder takes it.
    pub fn connector(&self) -> impl Fn(&str) -> Connecting + Send + Sync + Clone + use<> {
        let dialer = self.dialer.clone();
        move |_: &str| {
            let dialer = dialer.clone();
            Box::pin(async move { dialer.dial().await })
        }
    }

    /// Connects to it so that things go wrong: both directions of each connection have `faults`, decided
    /// by seeds of their own, which follow from that of `faults`.
    pub fn faulty(
        &self,
        faults: Faults,
    ) -> impl Fn(&str) -> Connecting + Send + Sync + Clone + use<> {
        let dialer = self.dialer.clone();
        let directions = Arc::new(AtomicU64::new(0));
        move |_: &str| {
            let dialer = dialer.clone();
            let number = directions.fetch_add(2, Ordering::Relaxed);
            let ways = [faults.reseeded(number), faults.reseeded(number + 1)];
            Box::pin(async move {
                let (near, far) = tokio::io::duplex(PIPE);
                let [near, far] = [near, far].map(Io::Memory);
                let [there, back] = ways;
                dialer.give(back.around(far)).await?;
                Ok(there.around(near))
            })
        }
    }
}

/// A connection in the making.
pub type Connecting = std::pin::Pin<Box<dyn Future<Output = io::Result<Io>> + Send>>;

impl Drop for Memory {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Bytes that one direction holds which were not read yet.
const PIPE: usize = 64 << 10;
