//! Connections that come in.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::unconstrained;

use super::core::{Core, Open, drains};
use super::entry;
use crate::transport::{Io, Listener, Peer};

/// Takes the connections of a listener until the server drains; those that have come by then too. Each has a
/// task, which holds `alive` until it is over.
///
/// # Cancel safety
///
/// Dropping the future closes the listener. Connections go on.
pub(super) async fn accept(
    core: Arc<Core>,
    mut listener: Listener,
    alive: mpsc::Sender<Infallible>,
) {
    let mut phases = core.phases();
    loop {
        tokio::select! {
            biased;
            () = drains(&mut phases) => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => serve(&core, accepted, &alive),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    for _ in 0..QUEUE {
        // Tokio would have a task that accepts so much at once believe that there are no more.
        let mut next = pin!(unconstrained(listener.accept()));
        let next = poll_fn(|task| Poll::Ready(next.as_mut().poll(task))).await;
        let Poll::Ready(Ok(accepted)) = next else { return };
        serve(&core, accepted, &alive);
    }
}

fn serve(core: &Arc<Core>, (io, peer): (Io, Peer), alive: &mpsc::Sender<Infallible>) {
    let Some(open) = Open::new(core) else { return };
    let (core, alive) = (Arc::clone(core), alive.clone());
    tokio::spawn(async move {
        entry::serve(&core, io, peer).await;
        drop((open, alive));
    });
}

/// What goes wrong may go wrong again at once, such as too many files being open.
const PAUSE: Duration = Duration::from_millis(20);

/// How many connections a listener may have waiting when it is closed.
const QUEUE: usize = 4096;
