//! Streams of values, with a call or as what it returns.
//!
//! Only the native protocol carries them. Each has a window: what was sent and not used yet is bounded,
//! and a slow reader holds up its own stream alone.

use std::pin::Pin;

mod client;
mod flow;
mod reader;
pub(crate) mod relay;
mod server;

pub use client::Received;
pub use server::{Inlet, Items};

pub(crate) use flow::{Flow, TooMuch};

/// Values, one after the other; `futures_core`'s trait.
pub use futures_core::Stream;

/// Any stream of `T`s.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// What a call is told whose protocol has no streams, where its method has.
pub(crate) fn unsupported(method: &str) -> String {
    format!("{method} has a stream, which only the native protocol carries; call it by native://")
}
