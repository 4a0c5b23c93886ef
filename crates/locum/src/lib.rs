//! Remote calls under control, inside a program.
//!
//! A policy file says how calls are tried: rate limits, a cap on calls in flight, deadlines, retries, a
//! circuit breaker. It is the file of `locum run`, with the same words and the same decisions, so a
//! policy may move between a program and the proxy beside it.
//!
//! ```
//! let policies = locum::Policies::parse(
//!     r#"
//!     [policies.careful]
//!     timeout = "2s"
//!     rate_limit = { rate = "100/s", key = "client-ip" }
//!     breaker = { window = "10s", min_calls = 20, failure_rate = 0.5 }
//!     retry = { attempts = 3 }
//!     "#,
//! )?;
//! let careful = policies.get("careful").expect("it stands above");
//! assert_eq!(careful.name(), "careful");
//! # Ok::<_, locum::ParseError>(())
//! ```
//!
//! With the feature `tower` (on by default) a policy becomes a layer around an HTTP service: see
//! [`http::ServerLayer`] for what serves and [`http::ClientLayer`] for what calls. For any other
//! protocol there is the engine itself: implement [`policy::Exchange`] and call [`policy::run()`] with
//! the clock of the [`Policy`].

#![warn(missing_docs)]

#[cfg(feature = "rpc")]
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(feature = "rpc")]
pub mod channel;
#[cfg(feature = "tokio")]
mod clock;
#[cfg(feature = "rpc")]
mod cx;
#[cfg(feature = "rpc")]
mod error;
mod file;
#[cfg(feature = "tower")]
pub mod http;
#[cfg(feature = "rpc")]
mod local;
#[cfg(feature = "rpc")]
mod metrics;
#[cfg(feature = "rpc")]
pub mod mock;
#[cfg(feature = "rpc")]
pub mod server;
#[cfg(feature = "rpc")]
pub mod service;
#[cfg(feature = "rpc")]
pub mod stream;
#[cfg(feature = "rpc")]
pub mod testing;
#[cfg(feature = "rpc")]
pub mod transport;

#[cfg(feature = "rpc")]
pub use channel::Channel;
#[cfg(feature = "rpc")]
pub use cx::Cx;
#[cfg(feature = "rpc")]
pub use error::{
    AppError, CallError, Delivery, ProtocolError, ProtocolKind, Rejection, TransportError,
    TransportKind,
};
#[cfg(feature = "rpc")]
pub use local::Local;
#[cfg(feature = "rpc")]
pub use locum_macros::{AppError, service};
#[cfg(feature = "rpc")]
pub use server::Server;
#[cfg(feature = "rpc")]
pub use stream::Stream;

/// What travels along with a call.
#[cfg(feature = "rpc")]
pub use locum_wire::rpc::{Metadata, TraceParent};

/// The engine: gates, what they are told, and the run around them.
pub use locum_policy as policy;

#[cfg(feature = "tokio")]
pub use clock::Clock;
pub use file::{FileError, ParseError, Policies, Policy};
