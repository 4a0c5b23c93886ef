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
//! # Services
//!
//! A service is a trait. Its proxy implements the same trait, so whoever uses it does not know whether it is
//! given the service itself or one elsewhere, over Go's net/rpc, JSON-RPC or Locum's own protocol.
//!
#![cfg_attr(feature = "rpc", doc = "```")]
#![cfg_attr(not(feature = "rpc"), doc = "```ignore")]
//! use locum::{CallError, Cx, Server};
//!
//! #[locum::service]
//! trait Arith {
//!     /// Doing it twice does no harm, so it may be retried and hedged.
//!     #[method(idempotent)]
//!     async fn multiply(&self, cx: &Cx, a: i64, b: i64) -> Result<i64, CallError>;
//! }
//!
//! struct RealArith;
//!
//! impl Arith for RealArith {
//!     async fn multiply(&self, _: &Cx, a: i64, b: i64) -> Result<i64, CallError> {
//!         a.checked_mul(b).ok_or_else(|| "overflow".into())
//!     }
//! }
//!
//! async fn business(arith: &impl Arith) -> Result<i64, CallError> {
//!     arith.multiply(&Cx::new(), 6, 7).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bound = Server::new().serve(ArithServer::new(RealArith)).listen("tcp://127.0.0.1:0").bind().await?;
//! let address = bound.addresses()[0].to_string();
//! tokio::spawn(bound.run());
//!
//! let remote: ArithProxy = ArithProxy::connect(address).build()?;
//! assert_eq!(business(&remote).await, Ok(42));
//! let local = ArithProxy::wrap(RealArith, None);
//! assert_eq!(business(&local).await, Ok(42));
//! # Ok(())
//! # }
//! ```
//!
//! Begin at [`service`](macro@service) for what a trait may have, [`Server`], [`Channel`] for how calls are
//! made, [`Cx`] for their time, [`CallError`] for how they fail, [`testing`] and [`mock`] for tests.
//!
//! # HTTP
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
pub mod pace;
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

/// Types of Go's that have no like in Rust, for services whose peers speak gob. Elsewhere they are plain
/// values.
#[cfg(feature = "rpc")]
pub mod gob {
    pub use locum_wire::gob::{Any, BigInt, Bytes, Complex, Marshal, Opaque, OpaqueKind, Time};
}

/// The engine: gates, what they are told, and the run around them.
pub use locum_policy as policy;

#[cfg(feature = "tokio")]
pub use clock::Clock;
pub use file::{FileError, ParseError, Policies, Policy};
