//! The client's side: managed connections to the endpoints of a service.
//!
//! A [`Channel`] connects when the first call needs it, and again when a connection is lost; a call made
//! meanwhile waits, within its time. All calls to an endpoint share its connections: each is written
//! into one buffer, and all that was gathered leaves in one write. Several endpoints are balanced over.
//! With a policy its engine decides how often, where and how long a call is tried.
//!
//! A call whose time is over, or whose future is dropped, is forgotten at once, and the peer is told
//! where the protocol can.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use locum_wire::rpc::{Metadata, Protocol};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::metrics::Exposition;
use crate::service::Method;
use crate::{AppError, CallError, Cx, Delivery, ProtocolKind, TransportKind};

mod answer;
mod backoff;
mod builder;
mod connection;
mod dial;
mod drive;
mod dynamic;
mod endpoints;
mod input;
mod link;
mod metrics;
mod outgoing;
mod policy;
mod pool;
mod resolve;
mod send;
mod slots;
mod streams;
mod target;

pub use builder::Builder;
pub use target::BuildError;

pub(crate) use streams::{Closing, Opened};

use answer::{Answered, Undone};
use outgoing::{Argument, Outgoing, Typed};
use policy::Open;
use pool::Pool;
use streams::Streams;

/// Managed connections to the endpoints of a service. Cheap to clone; its clones share them.
///
/// ```no_run
/// use std::time::Duration;
/// use locum::Channel;
///
/// let channel = Channel::builder("gob://10.0.0.1:1234,10.0.0.2:1234")
///     .balance("least-request")
///     .timeout(Duration::from_secs(2))
///     .build()?;
/// # Ok::<_, locum::channel::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Channel(Arc<Pool>);

impl Channel {
    /// A channel to what `url` says: see [`Builder::new`].
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url)
    }

    /// Makes one call.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. That no connection could be made in the call's time is
    /// [`TransportKind::Connect`], not its deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call at the peer.
    ///
    /// # Panics
    ///
    /// When polled outside a Tokio runtime.
    pub async fn call<A, R, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
    ) -> Result<R, CallError<E>>
    where
        A: Serialize + Send + Sync,
        R: DeserializeOwned,
        E: AppError,
    {
        let argument = Typed { shape: &method.args, args: &args };
        let counted = self.0.metrics.of(method.path);
        let ended = self.exchange(cx, method.path, method.idempotent, &argument, None).await;
        conclude(ended, &counted, |answered| answered.read())
    }

    /// Makes a call, whatever its types are.
    async fn exchange(
        &self,
        cx: &Cx,
        path: &str,
        idempotent: bool,
        argument: &dyn Argument,
        streams: Option<Streams<'_>>,
    ) -> Result<Ended, Undone> {
        if cx.is_given_up() {
            return Err(given_up(Delivery::NotSent));
        }
        let own = &self.0.settings;
        if streams.is_some() && own.endpoints.link.connection.protocol != Protocol::Native {
            let (kind, reason) = (TransportKind::Unsupported, crate::stream::unsupported(path));
            return Err(CallError::transport(kind, Delivery::NotSent, reason));
        }
        let mut both = Vec::new();
        let metadata = match (own.metadata.as_slice(), cx.outgoing().as_bytes()) {
            ([], added) => added,
            (own, []) => own,
            (own, added) => {
                both.extend_from_slice(own);
                both.extend_from_slice(added);
                &both
            }
        };
        let metadata = Metadata::parse(metadata).unwrap_or_default();
        let outgoing =
            Outgoing { path, idempotent, argument, trace: cx.trace(), metadata, streams };
        let call = async {
            match &own.engine {
                None => Ok((self.0.call(cx, &outgoing).await?, None)),
                // In a box, so that calls without a policy do not carry its room about.
                Some(engine) => {
                    let decided = Box::pin(engine.call(&self.0, cx, &outgoing)).await?;
                    Ok((decided.answered, Some(decided.open)))
                }
            }
        };
        let (mut call, mut given_up_by_caller) = (pin!(call), pin!(cx.given_up()));
        poll_fn(|task| {
            if let Poll::Ready(ended) = call.as_mut().poll(task) {
                return Poll::Ready(ended);
            }
            given_up_by_caller.as_mut().poll(task).map(|()| Err(given_up(Delivery::MaybeProcessed)))
        })
        .await
    }

    /// How many calls are in flight: sent, or about to be, and not yet answered.
    pub fn pending(&self) -> usize {
        let connections = self.0.connections();
        connections.iter().map(|connection| connection.in_flight() as usize).sum()
    }

    /// What became of its calls so far, in Prometheus' text format: `locum_client_calls_total`,
    /// `locum_client_call_duration_seconds`, `locum_client_calls_in_flight`,
    /// `locum_client_connections`.
    pub fn metrics(&self) -> String {
        let mut text = Exposition::default();
        self.0.metrics.write(&mut text);
        text.gauge("locum_client_calls_in_flight", "Calls not yet answered.", self.pending());
        let open = self.0.connections().iter().filter(|connection| connection.is_open()).count();
        text.gauge("locum_client_connections", "Connections that take calls.", open);
        text.into_text()
    }

    /// Begins no more calls, waits until those in flight are answered, and closes the connections. Calls
    /// that wait for a connection fail, and so do all that come.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the channel is closed all the same; only the waiting ends.
    pub async fn close(&self) {
        self.0.close();
        for connection in self.0.connections() {
            connection.gone().await;
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

fn given_up(delivery: Delivery) -> Undone {
    CallError::transport(TransportKind::Cancelled, delivery, "the caller gave it up")
}

/// An error that is not the service's own, as one of a call that has such.
fn of_any<E>(error: Undone) -> CallError<E> {
    error.map_app(|never| match never {})
}

/// A call that was answered, and what a policy is still to be told.
type Ended = (Answered, Option<Open>);

/// Reads the answer, and tells all who want to know how the call ended after all.
fn conclude<R, E>(
    ended: Result<Ended, Undone>,
    counted: &metrics::Method,
    read: impl FnOnce(Answered) -> Result<R, CallError<E>>,
) -> Result<R, CallError<E>> {
    let result = ended.map_err(of_any).and_then(|(answered, open)| {
        if let Some(took) = answered.took {
            counted.took(took);
        }
        let mut result = read(answered);
        if let Some(open) = open {
            if open.begun {
                result = result.map_err(CallError::begun_before);
            }
            open.settle(!result.as_ref().is_err_and(is_unreadable));
        }
        result
    });
    counted.ended(&result);
    result
}

fn is_unreadable<E>(error: &CallError<E>) -> bool {
    matches!(error, CallError::Protocol(error) if error.kind == ProtocolKind::BadReply)
}
