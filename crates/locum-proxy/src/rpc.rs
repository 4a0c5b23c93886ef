//! Remote calls, governed one by one. Begin at `flow.rs`.
//!
//! A connection of a client is read by its task, each call on it becomes a future of that task, and the
//! futures share the connections to the endpoints: many calls of many clients go over one, and the calls of
//! one client go to all endpoints.

mod attend;
pub(crate) mod call;
mod client;
mod drive;
mod exchange;
pub(crate) mod flow;
pub(crate) mod front;
mod link;
pub(crate) mod links;
mod method_path;
pub(crate) mod methods;
mod openapi;
pub(crate) mod reply;
mod session;
mod taker;
pub(crate) mod transcode;
