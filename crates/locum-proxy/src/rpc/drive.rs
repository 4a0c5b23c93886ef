//! The task of a link: it connects, sends what calls have written, and hands out what comes back.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use locum_wire::connect;
use locum_wire::proxy_protocol::Header;
use locum_wire::rpc::{Answer, Answers, Limits};

use super::link::{Answered, CROWDED, Link, Lost, Phase, State};
use super::taker::LONGEST;
use crate::buffer::{Buffers, SIZE};
use crate::clock::{Alarm, Alarms};
use crate::upstream::pool::{self, ConnectError, Connection};
use crate::upstream::{PoolSettings, Protocol};

/// What a link is made with.
pub(super) struct Outfit {
    pub(super) protocol: Protocol,
    pub(super) pool: PoolSettings,
    /// Whether the endpoint is the only one: then it is tried again for as long as a connection may take.
    pub(super) alone: bool,
    pub(super) buffers: Rc<Buffers>,
    pub(super) alarms: Rc<Alarms>,
    pub(super) full_takers: Rc<Cell<usize>>,
}

/// Drives `link` until it ends.
pub(super) async fn drive(link: Rc<Link>, outfit: Outfit) {
    let alarm = outfit.alarms.alarm();
    // Whatever happens here, nobody waits for a link that nobody drives.
    let link = Closing(link);
    let link = &*link.0;
    let lost = match connect(link, &outfit, &alarm).await {
        Ok(connection) => {
            let answers = Answers::new(link.protocol, &Limits::default());
            let mut driver = Driver {
                link,
                connection,
                answers,
                alarm,
                settings: &outfit.pool,
                full_takers: &outfit.full_takers,
                held: false,
                waits: None,
                progress: false,
            };
            poll_fn(|cx| driver.poll(cx)).await
        }
        Err(lost) => lost,
    };
    link.close(&lost);
}

/// Closes a link when its task is over, however that ended.
struct Closing(Rc<Link>);

impl Drop for Closing {
    fn drop(&mut self) {
        if !self.0.is_closed() {
            self.0.close(&Lost::Broken("a fault in this program".into()));
        }
    }
}

/// Connects. Where nobody listens and there is nobody else to ask, it is tried until the time that a
/// connection may take is over: a server that is started again is not noticed.
async fn connect(link: &Link, outfit: &Outfit, alarm: &Alarm) -> Result<Box<Connection>, Lost> {
    let (endpoint, until) = (&link.endpoint, alarm.now() + outfit.pool.connect_timeout);
    let mut pause = FIRST_PAUSE;
    let mut connection = loop {
        let left = outfit.alarms.read().until(until);
        let error =
            match pool::connect(endpoint, &Header::Local, left, &outfit.buffers, &outfit.alarms)
                .await
            {
                Ok(connection) => break connection,
                Err(error) => error,
            };
        if outfit.alone && matches!(error, ConnectError::Failed(_)) {
            alarm.arm(outfit.alarms.read() + pause);
            poll_fn(|cx| alarm.poll(cx)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            if outfit.alarms.read() < until {
                continue;
            }
        }
        let name = &endpoint.name;
        return Err(match error {
            ConnectError::TimedOut => {
                let text = format!("connecting to {name} took too long").into();
                Lost::Connect { text, timed_out: true }
            }
            ConnectError::Failed(error) => {
                let text = format!("cannot connect to {name}: {error}").into();
                Lost::Connect { text, timed_out: false }
            }
            ConnectError::Handshake(error) => {
                let text = format!("no TLS with {name}: {error}").into();
                Lost::Connect { text, timed_out: false }
            }
        });
    };
    if outfit.protocol == Protocol::GobHttp {
        alarm.arm(until);
        ask(&mut connection, alarm).await.map_err(|why| {
            let text = format!("{}: {why}", endpoint.name).into();
            Lost::Connect { text, timed_out: false }
        })?;
    }
    Ok(connection)
}

/// Asks a server of HTTP for net/rpc, and waits for its word.
async fn ask(connection: &mut Connection, alarm: &Alarm) -> Result<(), String> {
    let Connection { stream, buffer, .. } = connection;
    let mut response = connect::Response::default();
    let mut rest = connect::REQUEST;
    poll_fn(|cx| {
        loop {
            if !rest.is_empty()
                && let Poll::Ready(sent) = stream.poll_send(cx, rest)
            {
                let sent = sent.map_err(|error| error.to_string())?;
                rest = &rest[sent..];
                continue;
            }
            match buffer.poll_fill(cx, stream) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err("closed the connection on CONNECT".to_owned()));
                }
                Poll::Ready(Ok(_)) => {
                    let read = response.read(buffer.filled()).map_err(|error| error.to_string())?;
                    if let Some(length) = read {
                        buffer.consume(length);
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
                Poll::Pending => {
                    let late = "did not answer CONNECT in time";
                    return alarm.poll(cx).map(|()| Err(late.to_owned()));
                }
            }
        }
    })
    .await
}

/// A link's connection.
struct Driver<'a> {
    link: &'a Link,
    connection: Box<Connection>,
    answers: Answers,
    alarm: Alarm,
    settings: &'a PoolSettings,
    full_takers: &'a Cell<usize>,
    /// Whether it waits for the client whose answers it brings, and reads nothing.
    held: bool,
    /// What the alarm is armed for.
    waits: Option<Waits>,
    /// Whether the peer took something since it was armed.
    progress: bool,
}

/// What a link waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The peer to take what is sent.
    ToSend,
    /// Anybody to call.
    ForCalls,
    /// A client to take its answers.
    ForTaker,
}

impl Driver<'_> {
    /// Ready with why it ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Lost> {
        let mut rounds = 0;
        loop {
            if let Err(why) = self.write(cx) {
                return Poll::Ready(Lost::Broken(why.into()));
            }
            match self.read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => return Poll::Ready(Lost::Broken(why.into())),
                Poll::Pending => break,
            }
            rounds += 1;
            if rounds == ROUNDS {
                // A peer that always has something to say leaves others their turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let mut state = self.link.state.borrow_mut();
        if state.phase == Phase::Retired && state.slots.is_empty() {
            return Poll::Ready(Lost::Refused);
        }
        match &mut state.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        self.watch(&state);
        drop(state);
        let rang = self.alarm.poll(cx);
        if rang.is_ready() && self.held {
            self.waits = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        rang.map(|()| match self.waits {
            Some(Waits::ToSend) => Lost::Broken("the endpoint takes nothing more".into()),
            _ => Lost::Refused,
        })
    }

    /// Sends what there is, as far as the peer takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let mut state = self.link.state.borrow_mut();
        let State { out, written, before, risked, .. } = &mut *state;
        let secure = self.connection.stream.is_secure();
        while *written < out.len() {
            match self.connection.stream.poll_send(cx, &out[*written..]) {
                Poll::Ready(Ok(0)) => return Err("nothing can be sent".to_owned()),
                Poll::Ready(Ok(count)) => {
                    *written += count;
                    self.progress = true;
                }
                Poll::Ready(Err(error)) => {
                    *risked = risked_by(secure, *before, out);
                    return Err(said(&error));
                }
                Poll::Pending => {
                    *risked = risked_by(secure, *before, out);
                    if *written > CROWDED {
                        state.drain();
                    }
                    return Ok(());
                }
            }
        }
        if *written > 0 {
            state.drain();
            state.out.shrink_to(KEPT_OUT);
        }
        Ok(())
    }

    /// Reads once, and hands out the answers that are whole.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.held = self.full_takers.get() > 0 && self.is_held(cx);
        if self.held {
            return Poll::Pending;
        }
        let Connection { stream, buffer, .. } = &mut *self.connection;
        match buffer.poll_fill(cx, stream) {
            Poll::Ready(Ok(0)) => {
                return Poll::Ready(Err("the endpoint closed the connection".to_owned()));
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(said(&error))),
            Poll::Pending => return Poll::Pending,
        }
        if buffer.filled().len() < self.answers.needs() {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.link.state.borrow_mut();
        let mut taken = 0;
        let read = loop {
            let rest = buffer.filled().get(taken..).unwrap_or_default();
            match self.answers.next(rest, &mut taken) {
                Ok(Some(answer)) => deliver(&mut state, answer),
                Ok(None) => break Ok(()),
                Err(fatal) => break Err(format!("the endpoint broke the protocol: {fatal}")),
            }
        };
        buffer.consume(taken);
        if state.phase == Phase::Taking && self.answers.is_worn() {
            state.retire();
        }
        Poll::Ready(read)
    }

    /// Whether nothing is to be read yet, since it would be for a client that has enough.
    #[cold]
    fn is_held(&self, cx: &Context<'_>) -> bool {
        let state = self.link.state.borrow();
        let taker = state.held_for(self.alarm.now());
        taker.inspect(|taker| taker.wakes(cx)).is_some()
    }

    /// Arms the alarm for what is waited for.
    fn watch(&mut self, state: &State) {
        let waits = match (state.out.is_empty(), state.slots.is_empty()) {
            _ if self.held => Some(Waits::ForTaker),
            (false, _) => Some(Waits::ToSend),
            (true, true) => Some(Waits::ForCalls),
            (true, false) => None,
        };
        if waits == self.waits && !self.progress {
            return;
        }
        (self.waits, self.progress) = (waits, false);
        match waits {
            Some(Waits::ToSend) => self.alarm.arm_in(STALL),
            Some(Waits::ForTaker) => self.alarm.arm_in(LONGEST),
            Some(Waits::ForCalls) => self.alarm.arm_in(self.settings.idle),
            None => self.alarm.disarm(),
        }
    }
}

fn deliver(state: &mut State, answer: Answer<'_>) {
    match answer {
        Answer::Reply { id, body } => state.settle(id, || Answered::Reply(body.to_owned())),
        Answer::Failure { id, failure } => {
            state.settle(id, || Answered::Failure(Box::new(failure.into_owned())));
        }
        Answer::Unreadable { id, error } => state.settle(id, || Answered::Unreadable(error.0)),
        Answer::Ping(token) => {
            let State { calls, out, .. } = state;
            calls.pong(out, token);
        }
        Answer::GoAway { last } => {
            state.retire();
            for (_, slot) in &mut state.slots {
                if last.is_none_or(|last| slot.id > last) {
                    slot.settle(Answered::Lost(Lost::Refused));
                }
            }
        }
        Answer::Open { id } => {
            let text = "streams are not passed on".to_owned();
            state.settle(id, || Answered::Unreadable(text));
            state.cancel(id);
        }
        Answer::Pong(_) | Answer::Item { .. } | Answer::Credit { .. } => {}
    }
}

/// Up to where bytes may have left when a write stops in the middle: under TLS anywhere, or nowhere beyond
/// what was written.
fn risked_by(secure: bool, before: u64, out: &[u8]) -> u64 {
    if secure { before + out.len() as u64 } else { 0 }
}

fn said(error: &io::Error) -> String {
    error.to_string()
}

/// Reads of one turn.
const ROUNDS: usize = 16;
/// How long an endpoint may take nothing of what is sent to it.
const STALL: Duration = Duration::from_secs(30);
/// Between two tries to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// Room for what is sent that is kept from one batch to the next.
const KEPT_OUT: usize = 4 * SIZE;
