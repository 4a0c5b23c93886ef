//! HTTP/2: the streams of a connection, each served as a connection of HTTP/1.1 that carries one request.
//!
//! What the frames mean is said by `locum_wire::http2`. Whoever has a [`Stream`] reads and writes HTTP/1.1, so that
//! routes, policies and tunnels know nothing of it.

pub(crate) use front::serve;
pub(crate) use link::alone;
pub(crate) use links::{Links, Way};
pub(crate) use stream::Stream;

mod crowd;
mod drive;
mod front;
mod inbound;
mod judge;
mod link;
mod links;
mod outlet;
mod stream;
mod streams;
