//! What an answer does.

use std::task::Waker;

use locum_wire::rpc::{Answer, Protocol};

use crate::channel::answer::{Lost, Outcome, OwnedForm};
use crate::channel::connection::{Connection, QUEUE, State, Waiting};
use crate::stream::TooMuch;

/// Gives one answer to the call that waits for it, if one does.
pub(super) fn deliver(
    state: &mut State,
    answer: Answer<'_>,
    now: u64,
    connection: &Connection,
    woken: &mut Vec<Waker>,
) {
    let begin = state.out.len();
    match answer {
        Answer::Reply { id, body } => {
            if let Some(waiting) = state.slots.settle(id) {
                waiting.ended = now;
                waiting.body.clear();
                waiting.body.extend_from_slice(body.bytes);
                woken.extend(waiting.finish(Outcome::Reply(OwnedForm::of(&body.form))));
            }
        }
        Answer::Failure { id, mut failure } => {
            if let Some(waiting) = state.slots.settle(id) {
                waiting.ended = now;
                // Elsewhere it is no postcard.
                failure.detail.take_if(|_| connection.settings().protocol != Protocol::Native);
                woken.extend(waiting.finish(Outcome::Failure(Box::new(failure.into_owned()))));
            }
        }
        Answer::Unreadable { id, error } => {
            if let Some(waiting) = state.slots.settle(id) {
                waiting.ended = now;
                woken.extend(waiting.finish(Outcome::Unreadable(error.0)));
            }
        }
        // A peer that asks and does not read what it is told asks for nothing.
        Answer::Ping(_) if state.out.len() >= QUEUE => {}
        Answer::Ping(token) => {
            state.calls.pong(&mut state.out, token);
            Connection::queued(state, begin);
        }
        Answer::GoAway { last } => {
            // The connection's task is the one that is running, so nobody is to be woken.
            connection.retire_locked(state);
            state.slots.settle_those(
                |id, _| last.is_none_or(|last| id > last),
                |_, waiting| woken.extend(waiting.finish(Outcome::Lost(Lost::Refused))),
            );
        }
        // Of a call without a stream, and of one that is over, none of these say anything.
        Answer::Open { id } => woken.extend(state.slots.find(id).and_then(Waiting::open)),
        Answer::Item { id, item } => {
            let stream = state.slots.find(id).and_then(|waiting| waiting.stream.as_ref());
            match stream.map(|stream| stream.flow.arrive(&item)) {
                Some(Ok(reader)) => woken.extend(reader),
                Some(Err(TooMuch)) => {
                    if let Some(waiting) = state.slots.settle(id) {
                        let reason = "more items than there was credit for".to_owned();
                        woken.extend(waiting.finish(Outcome::Unreadable(reason)));
                        connection.cancel(state, id);
                    }
                }
                None => {}
            }
        }
        Answer::Credit { id, bytes } => {
            let stream = state.slots.find(id).and_then(|waiting| waiting.stream.as_ref());
            woken.extend(stream.and_then(|stream| stream.flow.add(bytes)));
        }
        Answer::Pong(_) => {}
    }
}
