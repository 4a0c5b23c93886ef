//! The data path: listen, route, try under a policy, forward, record.
//!
//! A [`Proxy`] runs a [`Plan`](plan::Plan) on one single-threaded worker per core. One request's way
//! is told in `flow.rs`, top to bottom; begin there. This crate reads no files and no environment:
//! whoever has settings builds a plan from them.

#![warn(missing_docs)]

mod acceptor;
pub mod access;
mod attempt;
pub mod auth;
mod body;
mod buffer;
mod caller;
mod clerk;
mod client;
mod clock;
pub mod coding;
pub mod compress;
mod conduit;
pub mod cors;
mod decisions;
mod dns;
mod exchange;
mod fallback;
pub mod files;
mod flow;
mod forward;
mod grpc;
mod http2;
mod keeper;
mod label;
pub mod listener;
mod log;
pub mod metrics;
pub mod mirror;
mod octets;
pub mod outgoing;
mod pace;
mod parking;
mod places;
pub mod plan;
mod problem;
mod proxy;
mod random;
mod record;
mod refusal;
mod relay;
mod reserved;
pub mod rewrite;
mod roster;
pub mod route;
mod rpc;
mod seats;
mod shift;
mod stage;
mod stream;
mod tcp;
pub mod telemetry;
mod timeout;
pub mod tls;
mod tunnel;
pub mod upstream;
mod watch;
mod worker;

pub use clock::{Hand, Source as ClockSource, now};
pub use log::Target as LogTarget;
pub use proxy::{Options, Proxy, StartError, Unknown};
pub use reserved::{reserve, reserve_path};
