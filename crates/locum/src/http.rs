//! Policies around HTTP: layers for Tower's [`Service`](tower_service::Service).
//!
//! [`ServerLayer`] stands before a service that answers, [`ClientLayer`] before one that sends.
//!
//! # Cancel safety
//!
//! Dropping the future of a call gives it up: the attempt under way is dropped, its permits count as
//! ignored, and a waiting place in a queue is left without a trace. A call lasts until the body of its
//! answer has ended or was dropped; until then it counts as in flight.

use std::sync::Arc;

use http::request::Parts;
use locum_policy::{Event, Observer, Time};

use crate::Policy;

mod answer;
mod body;
mod client;
mod end;
mod replay;
mod request;
mod server;

pub use body::Body;
pub use client::{Client, ClientLayer};
pub use end::ClientError;
pub use replay::{Replay, ReplayError};
pub use server::{Server, ServerLayer};

/// Where a policy becomes a layer.
///
/// ```
/// # use locum::{Policies, http::PolicyLayer};
/// # let policies = Policies::parse("[policies.careful]\nretry = { attempts = 3 }")?;
/// let careful = policies.get("careful").expect("it stands in the file");
/// let before_a_router = PolicyLayer::server(careful);
/// let before_a_client = PolicyLayer::client(careful, "users");
/// # Ok::<_, locum::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PolicyLayer;

impl PolicyLayer {
    /// Before a service that answers.
    pub fn server(policy: &Policy) -> ServerLayer {
        ServerLayer::new(policy)
    }

    /// Before a client of the service `upstream`.
    pub fn client(policy: &Policy, upstream: &str) -> ClientLayer {
        ClientLayer::new(policy, upstream)
    }
}

/// Who authenticated: an extension of a request, which the key `identity` of a rate limit goes by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(pub String);

/// What is asked of a request's head.
type Ask<T> = Arc<dyn Fn(&Parts) -> T + Send + Sync>;

/// Who watches the decisions, if anybody does.
#[derive(Clone, Default)]
struct Watch(Option<Arc<dyn Observer + Send + Sync>>);

impl Observer for Watch {
    fn event(&self, now: Time, event: &Event<'_>) {
        if let Some(observer) = &self.0 {
            observer.event(now, event);
        }
    }
}
