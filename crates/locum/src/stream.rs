//! Streams of values, with a call or as what it returns.
//!
//! A method takes one as its last argument, returns one, or both. What is returned are results, because a
//! stream can break in the middle; that there is none at all the call itself says.
//!
//! ```
//! use std::future::poll_fn;
//! use std::pin::pin;
//!
//! use locum::stream::Stream;
//! use locum::{CallError, Server, testing};
//!
//! #[locum::service]
//! trait Feed {
//!     async fn count(
//!         &self,
//!         to: u64,
//!     ) -> Result<impl Stream<Item = Result<u64, CallError>>, CallError>;
//!     async fn sum(&self, numbers: impl Stream<Item = u64>) -> Result<u64, CallError>;
//! }
//!
//! # struct Iter<I>(I);
//! # impl<I: Iterator + Unpin> Stream for Iter<I> {
//! #     type Item = I::Item;
//! #     fn poll_next(
//! #         mut self: std::pin::Pin<&mut Self>,
//! #         _: &mut std::task::Context<'_>,
//! #     ) -> std::task::Poll<Option<I::Item>> {
//! #         std::task::Poll::Ready(self.0.next())
//! #     }
//! # }
//! # fn iter<I: Iterator + Unpin>(items: I) -> Iter<I> { Iter(items) }
//! struct RealFeed;
//!
//! impl Feed for RealFeed {
//!     async fn count(
//!         &self,
//!         to: u64,
//!     ) -> Result<impl Stream<Item = Result<u64, CallError>>, CallError> {
//!         // As `futures::stream::iter` makes one.
//!         Ok(iter((1..=to).map(Ok)))
//!     }
//!
//!     async fn sum(&self, numbers: impl Stream<Item = u64>) -> Result<u64, CallError> {
//!         let mut numbers = pin!(numbers);
//!         let mut sum = 0;
//!         // With `futures::StreamExt`, `numbers.next().await`.
//!         while let Some(number) = poll_fn(|task| numbers.as_mut().poll_next(task)).await {
//!             sum += number;
//!         }
//!         Ok(sum)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), CallError> {
//! let memory = testing::serve(Server::new().serve(FeedServer::new(RealFeed)));
//! let feed = FeedProxy::connect("native://feed:1").connector(memory.connector()).build().unwrap();
//! assert_eq!(feed.sum(iter(1..=4)).await?, 10);
//! let mut counted = pin!(feed.count(2).await?);
//! assert_eq!(poll_fn(|task| counted.as_mut().poll_next(task)).await, Some(Ok(1)));
//! assert_eq!(poll_fn(|task| counted.as_mut().poll_next(task)).await, Some(Ok(2)));
//! assert_eq!(poll_fn(|task| counted.as_mut().poll_next(task)).await, None);
//! # Ok(())
//! # }
//! ```
//!
//! Only the native protocol carries streams; elsewhere such a call is
//! [`Unsupported`](crate::TransportKind::Unsupported). Each has a window: what was sent and not used yet is
//! bounded, nothing is asked of a stream that could not be sent, and a slow reader holds up its own stream
//! alone. Dropping a stream that is received cancels its call, and with it what is sent.
//!
//! A stream has as much time as the [`Cx`](crate::Cx) of its call says, and as it likes where that says
//! nothing. The channel's own timeout, and a policy, bound how long it takes to open.

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
