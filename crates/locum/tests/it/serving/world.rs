//! A service that does what tests want, and a server of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use locum::server::{Drained, Handle, Server};
use locum::transport::{Address, Dialer, memory};
use locum::{CallError, Cx};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::peer::Peer;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Args {
    #[serde(rename = "A")]
    pub(crate) a: i64,
    #[serde(rename = "B")]
    pub(crate) b: i64,
}

#[locum::service]
pub(crate) trait Work {
    async fn multiply(&self, args: Args) -> Result<i64, CallError>;
    async fn divide(&self, args: Args) -> Result<i64, CallError>;
    /// Takes so many milliseconds, and returns them.
    async fn wait(&self, millis: u64) -> Result<u64, CallError>;
    /// The same, with a task from the beginning.
    #[method(heavy)]
    async fn toil(&self, millis: u64) -> Result<u64, CallError>;
    /// So many letters.
    async fn letters(&self, count: u64) -> Result<String, CallError>;
    async fn panic(&self, millis: u64) -> Result<u64, CallError>;
    /// Whom the call is from, and a name that came with it.
    async fn whoami(&self, cx: &Cx) -> Result<String, CallError>;
    /// Milliseconds that are left.
    async fn left(&self, cx: &Cx) -> Result<u64, CallError>;
}

#[derive(Clone, Default)]
pub(crate) struct Real {
    pub(crate) seen: Arc<Seen>,
}

/// What has become of handlers that waited.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) begun: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
}

impl Seen {
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (of(&self.begun), of(&self.ended), of(&self.cancelled))
    }
}

/// A handler that waits; dropped before it ended, it looks whether its context is cancelled.
struct Waiting(Arc<Seen>, Cx, bool);

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self(seen, cx, ended) = self;
        if *ended {
            seen.ended.fetch_add(1, Ordering::SeqCst);
        } else if cx.is_cancelled() {
            seen.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Real {
    async fn sleep(&self, millis: u64) -> u64 {
        self.seen.begun.fetch_add(1, Ordering::SeqCst);
        let mut waiting = Waiting(Arc::clone(&self.seen), Cx::current(), false);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        waiting.2 = true;
        millis
    }
}

impl Work for Real {
    async fn multiply(&self, args: Args) -> Result<i64, CallError> {
        Ok(args.a * args.b)
    }

    async fn divide(&self, args: Args) -> Result<i64, CallError> {
        args.a.checked_div(args.b).ok_or_else(|| CallError::App("divide by zero".to_owned()))
    }

    async fn wait(&self, millis: u64) -> Result<u64, CallError> {
        Ok(self.sleep(millis).await)
    }

    async fn toil(&self, millis: u64) -> Result<u64, CallError> {
        Ok(self.sleep(millis).await)
    }

    async fn letters(&self, count: u64) -> Result<String, CallError> {
        Ok("x".repeat(count as usize))
    }

    async fn panic(&self, millis: u64) -> Result<u64, CallError> {
        if millis > 0 {
            self.sleep(millis).await;
        }
        panic!("as it was asked to")
    }

    async fn whoami(&self, cx: &Cx) -> Result<String, CallError> {
        Ok(format!("{:?} {:?}", cx.identity(), cx.metadata().get("tenant")))
    }

    async fn left(&self, cx: &Cx) -> Result<u64, CallError> {
        Ok(cx.remaining().map_or(0, |left| left.as_millis() as u64))
    }
}

/// A running server of it.
pub(crate) struct World {
    pub(crate) seen: Arc<Seen>,
    pub(crate) dialer: Dialer,
    pub(crate) handle: Handle,
    pub(crate) run: JoinHandle<Drained>,
    pub(crate) addresses: Vec<Address>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|server| server).await
    }

    /// One that is set up by `change`.
    pub(crate) async fn with(change: impl FnOnce(Server) -> Server) -> Self {
        let real = Real::default();
        let seen = Arc::clone(&real.seen);
        let (dialer, listener) = memory();
        let server = Server::new().serve(WorkServer::new(real)).listen_on(listener);
        let bound = change(server).bind().await.unwrap();
        let (handle, addresses) = (bound.handle(), bound.addresses());
        let run = tokio::spawn(bound.run());
        Self { seen, dialer, handle, run, addresses }
    }

    pub(crate) async fn dial(&self) -> Peer {
        Peer::new(self.dialer.dial().await.unwrap())
    }
}
