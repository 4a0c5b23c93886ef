//! One call, from admission to settlement.

use std::future::Future;
use std::time::Duration;

use crate::{Call, Cause, Clock, Observer, Rejection, Time};

/// Tries one call under a policy.
pub async fn run<C, X, O>(call: &Call<'_>, clock: &C, exchange: &X, observer: &O) -> Answer<X::Reply>
where
    C: Clock,
    X: Exchange,
    O: Observer,
{
    let _ = (call, clock, exchange, observer);
    unreachable!("placeholder")
}

/// The protocol's side of a run: how an endpoint is chosen and how one attempt is sent.
pub trait Exchange {
    /// What a finished attempt leaves: an answer, or the error that stands for it.
    type Reply;

    /// Chooses an endpoint for an attempt, preferring one that `tried` does not name.
    /// `None`: none is usable.
    fn pick(&self, tried: &[u32], now: Time) -> Option<Endpoint<'_>>;

    /// Sends one attempt and waits for the head of its answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the attempt at the peer.
    fn send(&self, attempt: &Attempt<'_>) -> impl Future<Output = Ended<Self::Reply>>;
}

/// One address of an upstream, as a run sees it.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// Which one, among its upstream's.
    pub id: u32,
    /// Its name, the target of `per = "endpoint"`.
    pub name: &'a str,
}

/// One try of a call.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// From 1; hedges count.
    pub number: u32,
    /// Why it is made.
    pub kind: AttemptKind,
    /// Where it goes.
    pub endpoint: Endpoint<'a>,
    /// When it is given up, if ever: what is told to the peer as its time.
    pub deadline: Option<Time>,
    /// When it began.
    pub started: Time,
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptKind {
    /// It is the first.
    First,
    /// An earlier one failed.
    Retry,
    /// An earlier one is slow.
    Hedge,
}

/// How one attempt ended.
#[derive(Debug)]
pub struct Ended<R> {
    /// What happened.
    pub cause: Cause,
    /// What the peer says of when to come back (`Retry-After`, pushback).
    pub retry_after: Option<Duration>,
    /// What is left of it.
    pub reply: R,
}

/// How a call ended.
pub struct Answer<R> {
    /// With what.
    pub end: End<R>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The permits that live as long as the answer's body. Dropped unsettled they count as ignored.
    pub held: Held,
}

/// What a call ended with.
pub enum End<R> {
    /// Its last attempt ended by itself, well or badly.
    Ended(Cause, R),
    /// A policy refused it.
    Rejected(Rejection),
    /// Its time, or its last attempt's, was over; that attempt was cancelled.
    TimedOut,
    /// No endpoint was usable.
    Unavailable,
}

/// The permits of a call whose answer has begun.
pub struct Held;
