//! One stream of a connection of HTTP/2, read and written as a connection of HTTP/1.1 that carries one request.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use locum_wire::http1::{Field, Framing};
use locum_wire::http2::SendError;

use super::streams::{End, Lost, State, Streams};

/// A stream. Dropped before all was said on it, it is given up at the peer.
pub(crate) struct Stream {
    streams: Rc<Streams>,
    key: usize,
}

impl Stream {
    pub(super) fn new(streams: Rc<Streams>, key: usize) -> Self {
        Self { streams, key }
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.streams.secure
    }

    /// Whether nobody is left to talk to.
    pub(crate) fn is_lost(&self) -> bool {
        self.streams.state.borrow().slots[self.key].lost.is_some()
    }

    /// Whether the peer has said that it did not begin what was asked for, so that it may be asked of anybody.
    pub(crate) fn was_refused(&self) -> bool {
        self.streams.state.borrow().slots[self.key].lost == Some(Lost::Refused)
    }

    /// Whether the peer takes a WebSocket on it (RFC 8441 §3), as soon as it has said.
    pub(crate) fn poll_takes_websockets(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.streams.state.borrow_mut();
        let State { codec, slots, .. } = &mut *state;
        let slot = &mut slots[self.key];
        match codec.takes_websockets() {
            Some(takes) => Poll::Ready(takes && slot.lost.is_none()),
            None if slot.lost.is_some() => Poll::Ready(false),
            None => {
                register(&mut slot.writer, cx);
                Poll::Pending
            }
        }
    }

    /// What nobody may put into a table of what was read from `other` is not put into one here either (RFC 7541
    /// §7.1.3).
    pub(crate) fn keep_secrets_of(&self, other: &Self) {
        let names = &other.streams.state.borrow().slots[other.key].secret;
        if !names.is_empty() {
            let mut state = self.streams.state.borrow_mut();
            let id = state.slots[self.key].id;
            state.codec.keep_secret(id, names);
        }
    }

    /// Ready once nobody is left to talk to.
    pub(crate) fn poll_lost(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.streams.state.borrow_mut();
        let slot = &mut state.slots[self.key];
        if slot.lost.is_some() {
            return Poll::Ready(());
        }
        register(&mut slot.reader, cx);
        Poll::Pending
    }

    /// Ready once a read would bring something.
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.streams.state.borrow_mut();
        let slot = &mut state.slots[self.key];
        if slot.inbound.is_readable() || slot.lost.is_some() {
            return Poll::Ready(Ok(()));
        }
        register(&mut slot.reader, cx);
        Poll::Pending
    }

    pub(crate) fn poll_fill(&self, cx: &Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.streams.state.borrow_mut();
        let State { codec, slots, .. } = &mut *state;
        let slot = &mut slots[self.key];
        // An answer that is whole is one though its server has gone. Who has taken a request back wants no answer,
        // and what was broken off is neither.
        let is_whole = self.streams.end == End::Client && slot.inbound.has_ended();
        if slot.lost.is_some() && !is_whole {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let is_readable = slot.inbound.is_readable();
        let read = slot.inbound.read(space);
        if read.filled == 0 && !is_readable {
            if slot.lost.is_some() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            register(&mut slot.reader, cx);
            return Poll::Pending;
        }
        if read.content > 0 {
            let before = codec.output().len();
            codec.release(slot.id, read.content);
            if codec.output().len() > before {
                state.wake_driver();
            }
        }
        Poll::Ready(Ok(read.filled))
    }

    /// How many bytes there are to read, as far as it matters whether there is any; to be asked once it is readable.
    pub(crate) fn look(&self) -> io::Result<usize> {
        let state = self.streams.state.borrow();
        let slot = &state.slots[self.key];
        match slot.lost {
            Some(_) => Err(io::ErrorKind::ConnectionReset.into()),
            None => Ok(usize::from(slot.inbound.has_bytes())),
        }
    }

    /// How many bytes of content it would take now.
    pub(crate) fn room(&self) -> usize {
        let state = self.streams.state.borrow();
        state.codec.room(state.slots[self.key].id)
    }

    pub(crate) fn poll_send(
        &self,
        cx: &Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.streams.state.borrow_mut();
        let State { codec, slots, .. } = &mut *state;
        let slot = &mut slots[self.key];
        let mut taken = 0;
        for slice in slices {
            let sent = match codec.send(slot.id, slice) {
                Ok(sent) => sent,
                Err(_) if taken > 0 => break,
                Err(SendError::Closed) => {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                Err(error) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            };
            taken += sent;
            if sent < slice.len() {
                break;
            }
        }
        if taken == 0 {
            register(&mut slot.writer, cx);
            return Poll::Pending;
        }
        state.wake_driver();
        Poll::Ready(Ok(taken))
    }

    /// Says the head of an answer by its fields, and gives the bytes that it takes. `None`: it has to be said in text.
    pub(crate) fn answer<'f>(
        &self,
        status: u16,
        framing: Framing,
        fields: impl Iterator<Item = Field<'f>>,
    ) -> Option<usize> {
        let mut state = self.streams.state.borrow_mut();
        let id = state.slots[self.key].id;
        let taken = state.codec.answer(id, status, framing, fields);
        state.wake_driver();
        taken
    }

    /// Says that nothing more will be sent.
    pub(crate) fn poll_finish(&self, _: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.streams.state.borrow_mut();
        let id = state.slots[self.key].id;
        state.codec.finish(id);
        state.wake_driver();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.state.borrow_mut().remove(self.key, self.streams.end);
    }
}

fn register(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}
