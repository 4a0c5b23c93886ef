//! The server's side.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::reader::Reader;
use crate::server::Line;

/// The stream that comes with a call, before anybody said of what. Empty where the call has none.
#[derive(Debug, Default)]
pub struct Inlet(Option<Line>);

impl Inlet {
    pub(crate) const fn new(line: Option<Line>) -> Self {
        Self(line)
    }

    /// As the method has it.
    pub fn typed<T: DeserializeOwned>(self) -> Items<T> {
        Items { line: self.0, reader: Reader::default(), unreadable: false, items: PhantomData }
    }
}

/// The stream that comes with a call.
///
/// An item that is no `T` fails the call, whose handler is dropped then; the stream gives nothing more, not
/// even its end, which would be mistaken for that of a whole stream.
pub struct Items<T> {
    line: Option<Line>,
    reader: Reader,
    unreadable: bool,
    items: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Stream for Items<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let Some(line) = &this.line else { return Poll::Ready(None) };
        if this.unreadable {
            return Poll::Pending;
        }
        let polled = this.reader.poll_next(line.flow(), task, |credit| line.give_credit(credit));
        match ready!(polled).transpose() {
            Ok(item) => Poll::Ready(item),
            Err(error) => {
                this.unreadable = true;
                line.reject(&format!("an item of its stream: {error}"));
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("line", &self.line).finish_non_exhaustive()
    }
}
