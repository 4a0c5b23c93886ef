//! Who serves requests, one after another.
//!
//! The state of a call is some KiB. Allocated, moved and freed for each call it was a twenty-fifth of a request's
//! instructions, in memory that was cold each time. A clerk has it for good: a future that serves one request after
//! another, polled by the task of the connection whose request it has. A worker has as many as it has calls, and takes
//! the one that was busy last.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::client::{Client, Next};
use crate::flow;
use crate::worker::Worker;

/// Serves requests.
pub(crate) struct Clerk {
    desk: Rc<Desk>,
    working: Pin<Box<dyn Future<Output = Infallible>>>,
}

/// Where a clerk finds what is to be done, and leaves what is.
#[derive(Default)]
struct Desk {
    begun: Cell<Option<Begun>>,
    done: Cell<Option<(Box<Client>, Next)>>,
}

/// A request whose head has been read, byte for byte.
struct Begun {
    client: Box<Client>,
    head: Vec<u8>,
    worker: Rc<Worker>,
}

impl Clerk {
    /// One with nothing to do.
    pub(crate) fn new() -> Self {
        let desk = Rc::<Desk>::default();
        Self { working: Box::pin(work(Rc::clone(&desk))), desk }
    }
}

/// Serves the request whose head, `head`, `client` has read, and says what becomes of the connection.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and cancels the attempt at the upstream.
pub(crate) async fn serve(
    client: Box<Client>,
    head: Vec<u8>,
    worker: &Rc<Worker>,
) -> (Box<Client>, Next) {
    let mut clerk = worker.clerk();
    clerk.desk.begun.set(Some(Begun { client, head, worker: Rc::clone(worker) }));
    let done = poll_fn(|cx| {
        let Poll::Pending = clerk.working.as_mut().poll(cx);
        clerk.desk.done.take().map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    worker.give_clerk(clerk);
    done
}

async fn work(desk: Rc<Desk>) -> Infallible {
    loop {
        // Whoever brings the next request polls.
        let begun = poll_fn(|_| desk.begun.take().map_or(Poll::Pending, Poll::Ready));
        let Begun { mut client, head, worker } = begun.await;
        let next = flow::serve(&mut client, head, &worker).await;
        desk.done.set(Some((client, next)));
    }
}
