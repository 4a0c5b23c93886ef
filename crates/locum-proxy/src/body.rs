//! A request's body on its way: read from the client, checked, handed on, kept for a replay.

use std::cell::Cell;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use locum_policy::Time;
use locum_wire::http1::{self, Chunked, Framing, Piece, Request, encode};

use crate::buffer::Buffer;
use crate::clock::Alarm;
use crate::forward;
use crate::listener::Limits;
use crate::route::Owned;
use crate::stream::Stream;

/// The body of one request, from its client.
pub(crate) struct Upload<'a> {
    /// What was read of it and not used yet; what follows it stays here.
    buffer: &'a mut Buffer,
    state: State,
    /// Whether what is read is framed as chunks again.
    chunked: bool,
    /// Bytes of content so far.
    received: u64,
    most: Option<u64>,
    /// The content so far, as long as it may be needed again.
    replay: Option<Vec<u8>>,
    replay_most: usize,
    /// How a chunked body ended: the last chunk and its trailers.
    tail: Vec<u8>,
    /// What a client cannot say in a trailer either.
    owned: Option<Owned>,
    /// `100 Continue` is owed before the client sends anything.
    continue_owed: bool,
    pace: Pace,
}

enum State {
    Length(u64),
    Chunked(Box<Chunked>),
    Done,
    /// Nothing that follows makes sense.
    Broken,
}

/// Why a body cannot be read to its end.
#[derive(Clone, Debug)]
pub(crate) enum BodyError {
    /// Malformed, or larger than a chunked body's own limits.
    Malformed(http1::Error),
    /// Larger than the route allows.
    TooLarge,
    /// It would have to be held as a whole, and too much of others is.
    NoRoom,
    /// Nothing arrived for too long, or too little.
    TooSlow,
    /// The client closed or broke the connection.
    Gone,
}

/// Keeps a slow sender within bounds: never silent for longer than `idle`, and no slower than
/// `rate` on average once `GRACE` has passed.
struct Pace {
    idle: Duration,
    rate: u64,
    /// When we began to wait for the client; waiting for the upstream does not count against it.
    waiting: Cell<Option<Time>>,
    waited: Cell<Duration>,
}

/// The time a body may take to get going before its rate matters.
const GRACE: Duration = Duration::from_secs(5);

impl<'a> Upload<'a> {
    pub(crate) fn new(
        request: &Request<'_>,
        buffer: &'a mut Buffer,
        limits: &Limits,
        wire_limits: &http1::Limits,
    ) -> Self {
        let state = match request.framing() {
            Framing::Length(length) if length > 0 => State::Length(length),
            Framing::Chunked => State::Chunked(Box::new(Chunked::new(wire_limits))),
            Framing::None | Framing::Length(_) | Framing::UntilClose => State::Done,
        };
        let has_body = !matches!(state, State::Done);
        Self {
            buffer,
            chunked: matches!(state, State::Chunked(_)),
            state,
            received: 0,
            most: limits.body_bytes,
            replay: has_body.then(Vec::new),
            replay_most: 0,
            tail: Vec::new(),
            owned: None,
            continue_owed: has_body && request.expects_continue(),
            pace: Pace {
                idle: limits.body_idle,
                rate: limits.body_rate,
                waiting: Cell::new(None),
                waited: Cell::new(Duration::ZERO),
            },
        }
    }

    /// Narrows how large the body may be. False when it is known already that it is larger.
    pub(crate) fn limit(&mut self, most: Option<u64>) -> bool {
        self.most = match (self.most, most) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match (&self.state, self.most) {
            (State::Length(length), Some(most)) => *length <= most,
            _ => true,
        }
    }

    /// Leaves trailers of these names out.
    pub(crate) fn leave_out(&mut self, owned: &Owned) {
        self.owned = (!owned.is_empty()).then(|| owned.clone());
    }

    /// Keeps up to `bytes` of content, so that it can be sent again.
    pub(crate) fn keep_for_replay(&mut self, bytes: usize) {
        self.replay_most = bytes;
    }

    /// Reads the content alone from here on, for one that looks at it as a whole.
    pub(crate) fn unframe(&mut self) {
        self.chunked = false;
    }

    /// Skips what has arrived. If that was all of it, the next request can follow; but a client
    /// that waits to be told to go on has sent nothing of it and will not.
    pub(crate) fn skip_received(&mut self) {
        let mut nowhere = Vec::new();
        if self.decode(&mut nowhere).is_err() {
            // The connection will be closed, which is all that is left to do about it.
            self.state = State::Broken;
        }
    }

    /// What the client sent after its request, for a tunnel.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.filled().to_vec();
        self.buffer.consume(rest.len());
        rest
    }

    /// Whether all of it has been read from the client.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether a new attempt could be sent all that an earlier one was.
    pub(crate) fn is_replayable(&self) -> bool {
        self.received == 0 || self.replay.is_some()
    }

    /// Bytes of content received.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Puts what has been received before into `out`, for a new attempt.
    pub(crate) fn replay_into(&self, out: &mut Vec<u8>) {
        let content = self.replay.as_deref().unwrap_or_default();
        if self.chunked {
            forward::chunk(out, content);
        } else {
            out.extend_from_slice(content);
        }
        out.extend_from_slice(&self.tail);
    }

    /// Moves more of the body into `out`, as the upstream is to see it. Ready when something was
    /// added or the body is done; then `is_done` tells.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        alarm: &Alarm,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), BodyError>> {
        loop {
            let before = out.len();
            self.decode(out)?;
            if out.len() > before || self.is_done() {
                return Poll::Ready(Ok(()));
            }
            if self.continue_owed {
                ready!(self.poll_continue(cx, client))?;
            }
            match self.buffer.poll_fill(cx, client) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(BodyError::Gone)),
                Poll::Ready(Ok(_)) => self.pace.arrived(alarm.now()),
                Poll::Pending => {
                    if !self.pace.wait(self.received, alarm) || alarm.poll(cx).is_ready() {
                        return Poll::Ready(Err(BodyError::TooSlow));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// The client waits for a word before it sends (RFC 9110 §10.1.1).
    fn poll_continue(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
    ) -> Poll<Result<(), BodyError>> {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        match ready!(client.poll_send(cx, CONTINUE)) {
            // Nothing has been sent on this answer yet, so the socket has room for all of it.
            Ok(count) if count == CONTINUE.len() => {
                self.continue_owed = false;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(BodyError::Gone)),
        }
    }

    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        match &mut self.state {
            State::Done | State::Broken => {}
            State::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let take = self.buffer.filled().len().min(most);
                if take > 0 {
                    *left -= take as u64;
                    let done = *left == 0;
                    self.received += take as u64;
                    check_size(self.received, self.most)?;
                    let content = &self.buffer.filled()[..take];
                    keep(&mut self.replay, self.replay_most, content);
                    out.extend_from_slice(content);
                    self.buffer.consume(take);
                    if done {
                        self.state = State::Done;
                    }
                }
            }
            State::Chunked(decoder) => loop {
                let input = self.buffer.filled();
                let (consumed, piece) = decoder.next(input).map_err(BodyError::Malformed)?;
                match piece {
                    Piece::Data(range) => {
                        let content = &input[range];
                        self.received += content.len() as u64;
                        check_size(self.received, self.most)?;
                        keep(&mut self.replay, self.replay_most, content);
                        match self.chunked {
                            true => forward::chunk(out, content),
                            false => out.extend_from_slice(content),
                        }
                        self.buffer.consume(consumed);
                    }
                    Piece::NeedMore => {
                        self.buffer.consume(consumed);
                        break;
                    }
                    Piece::End => {
                        if self.chunked {
                            let owned = self.owned.as_ref();
                            let ours = |name| owned.is_some_and(|owned| owned.holds(name));
                            let trailers = decoder.trailers().filter(|(name, _)| !ours(name));
                            encode::last_chunk(&mut self.tail, trailers);
                            out.extend_from_slice(&self.tail);
                        }
                        self.buffer.consume(consumed);
                        self.state = State::Done;
                        break;
                    }
                }
            },
        }
        Ok(())
    }
}

fn check_size(received: u64, most: Option<u64>) -> Result<(), BodyError> {
    if most.is_some_and(|most| received > most) { Err(BodyError::TooLarge) } else { Ok(()) }
}

/// Adds to the replay, or gives it up once it would be too large.
fn keep(replay: &mut Option<Vec<u8>>, most: usize, content: &[u8]) {
    match replay {
        Some(kept) if kept.len() + content.len() <= most => kept.extend_from_slice(content),
        _ => *replay = None,
    }
}

impl Pace {
    fn arrived(&self, now: Time) {
        if let Some(since) = self.waiting.take() {
            self.waited.set(self.waited.get() + now.since(since));
        }
    }

    /// Begins or goes on to wait; false once the sender has been too slow on average.
    fn wait(&self, received: u64, alarm: &Alarm) -> bool {
        if self.waiting.get().is_some() {
            return true;
        }
        self.waiting.set(Some(alarm.now()));
        alarm.arm_in(self.idle);
        let waited = self.waited.get();
        waited <= GRACE
            || u128::from(received) * 1_000 >= u128::from(self.rate) * waited.as_millis()
    }
}
