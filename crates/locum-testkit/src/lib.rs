//! Real peers for end-to-end tests: the program as a child process, upstreams that misbehave in
//! one named way each, clients that send exactly the bytes they are given, and a reader of
//! HTTP/1.1 that forgives nothing.
//!
//! Everything here is blocking: threads and `std::net`. A test reads top to bottom, and nothing
//! of the program's own code judges the program.
//!
//! - [`Locum`] starts the built binary and speaks to its admin API.
//! - [`Upstream`] accepts connections and plays a [`script`] on each, recording what it was sent.
//! - [`Client`] is one client connection; [`Load`] is many, counted.
//! - [`corpus`] holds the cases of malformed and ambiguous messages.
//! - [`Go`] is a real Go, as a server, as a client that checks what it is answered, and as many.
//! - [`Grpc`] is a real gRPC, likewise; [`Collector`] takes traces by OpenTelemetry's own definitions.
//! - [`http2`] is either end of a connection of HTTP/2, frame by frame.
//! - [`HaProxy`] is a real HAProxy, in front or behind; [`Nginx`] is a real nginx, behind.
//! - [`NetRpc`] is a client of net/rpc that sends exactly the bytes it is given.
//! - [`Slicer`] has what a client sends arrive byte by byte.
//! - [`Dns`] is a name server that says what a test wants.
//! - [`Gate`] holds a script back until the test lets it go on.
//! - [`eventually`] waits for a state by looking at it, never by sleeping for it.

pub mod clock;
pub mod corpus;
pub mod http;
pub mod http2;
pub mod netrpc;
pub mod script;

mod client;
mod collector;
mod dns;
mod gate;
mod go;
mod grpc;
mod haproxy;
mod load;
mod locum;
mod nginx;
mod slicer;
mod upstream;

pub use client::{Client, Pieces, get};
pub use clock::eventually;
pub use collector::Collector;
pub use dns::{Dns, Mood};
pub use gate::Gate;
pub use go::{Calls, Go, GoServer, Mode, Tally};
pub use grpc::{Grpc, GrpcServer};
pub use haproxy::HaProxy;
pub use http::{Broken, Headers, Reader, Request, Response};
pub use load::{Load, Report};
pub use locum::{Finished, Launch, Locum, Signal, run_to_end};
pub use netrpc::{Answer, Args, NetRpc};
pub use nginx::Nginx;
pub use slicer::Slicer;
pub use upstream::{BlackHole, Connection, Received, Upstream, refused};
