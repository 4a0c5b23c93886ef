//! Rests between calls that come one by one.
//!
//! Clients that write every call by itself (Go's do) wake a server that is faster than they are for every one or
//! two of them, and each time it waits, reads and writes for those alone: at 64 callers most of what a call costs.
//! So it is with answers of servers that write each by itself. A thread that [rests](rest) for 50 us before it
//! listens again meets many at once.
//!
//! That is for whoever builds the runtime to choose, since a thread that rests does nothing else:
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! let runtime = tokio::runtime::Builder::new_current_thread()
//!     .enable_all()
//!     .on_thread_park(locum::pace::rest)
//!     .build()?;
//! # drop(runtime);
//! # Ok(())
//! # }
//! ```

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::Instant;

/// Rests for 50 us, if that is worth it: for
/// [`on_thread_park`](tokio::runtime::Builder::on_thread_park) of a runtime that carries remote calls.
///
/// A thread rests only while the calls (of servers) and answers (to channels) that it takes come at least every
/// 12 us, few at a time, and come no slower for it. It finds that out by trying now and then, for 32 turns, more
/// and more seldom where it was in vain. So a few callers, whose next calls wait for their answers, are not made to
/// wait. Measured with one client of Go: up to 4 callers nothing changes, with 8 or 12 a call takes a quarter longer
/// and costs the server a quarter less, from 16 on it takes no longer and costs half as much.
///
/// The price is that whatever else lives on the thread (timers, other connections) may be up to 50 us late,
/// and that the first rest sets the thread's timer slack to 1 us (Linux), so that it is no longer than that. A
/// runtime without this never rests.
pub fn rest() {
    let messages = MESSAGES.take();
    if messages == 0 {
        return;
    }
    PACE.with_borrow_mut(|pace| {
        let now = Instant::now();
        let took =
            pace.asked.replace(now).map_or(RARE, |asked| now.saturating_duration_since(asked));
        if pace.trial.turn(messages, took) {
            if !std::mem::replace(&mut pace.punctual, true) {
                be_punctual();
            }
            std::thread::sleep(REST);
        }
    });
}

/// So many calls or answers have come to this thread.
pub(crate) fn came(messages: u64) {
    MESSAGES.set(MESSAGES.get() + messages);
}

thread_local! {
    /// What has come since the thread was about to park.
    static MESSAGES: Cell<u64> = const { Cell::new(0) };
    static PACE: RefCell<Pace> = const { RefCell::new(Pace::new()) };
}

/// Of one thread.
struct Pace {
    /// When it was asked last.
    asked: Option<Instant>,
    /// Whether its sleep ends when it is to.
    punctual: bool,
    trial: Trial,
}

impl Pace {
    const fn new() -> Self {
        Self { asked: None, punctual: false, trial: Trial::new() }
    }
}

/// Finds out whether rests are worth it, by having some and having none.
struct Trial {
    phase: Phase,
    /// Turns until the next phase.
    left: u32,
    sample: Sample,
    /// How it was without rests, in the last phase of that kind.
    without: Sample,
    /// How many turns to leave it, once a trial was in vain.
    patience: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Without rests, since they are worth nothing.
    Listening,
    /// Without rests, to see how it is.
    Without,
    /// With rests, to see whether that is better.
    With,
    /// With rests, since they are worth it.
    Resting,
}

/// What came in some turns.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    turns: u64,
    messages: u64,
    nanos: u64,
}

impl Trial {
    const fn new() -> Self {
        let nothing = Sample { turns: 0, messages: 0, nanos: 0 };
        Self {
            phase: Phase::Without,
            left: TRIED,
            sample: nothing,
            without: nothing,
            patience: KEPT,
        }
    }

    /// A turn is over in which so many messages came. Tells whether to rest before the next.
    fn turn(&mut self, messages: u64, took: Duration) -> bool {
        self.sample.turns += 1;
        self.sample.messages += messages;
        self.sample.nanos += took.min(RARE).as_nanos() as u64;
        self.left -= 1;
        if self.left == 0 {
            (self.phase, self.left) = self.next();
        }
        matches!(self.phase, Phase::With | Phase::Resting)
    }

    /// What comes after a phase, and for how many turns.
    fn next(&mut self) -> (Phase, u32) {
        let sample = std::mem::take(&mut self.sample);
        match self.phase {
            Phase::Listening | Phase::Resting => (Phase::Without, TRIED),
            Phase::Without if sample.is_promising() => {
                self.without = sample;
                (Phase::With, TRIED)
            }
            Phase::Without => (Phase::Listening, KEPT),
            Phase::With if sample.is_better_than(&self.without) => {
                self.patience = KEPT;
                (Phase::Resting, KEPT)
            }
            Phase::With => {
                let patience = self.patience;
                self.patience = (2 * patience).min(LONGEST);
                (Phase::Listening, patience)
            }
        }
    }
}

impl Sample {
    /// Whether messages come few at a time, and so fast that some would come in a rest.
    fn is_promising(&self) -> bool {
        self.messages < TOGETHER * self.turns
            && FEWEST * self.nanos <= self.messages * REST.as_nanos() as u64
    }

    /// Whether twice as many come at once, and no slower (a fifth may be chance).
    fn is_better_than(&self, without: &Self) -> bool {
        self.messages * without.turns >= 2 * without.messages * self.turns
            && 5 * self.nanos * without.messages <= 6 * without.nanos * self.messages
    }
}

/// Has the system wake this thread when it is to be woken: by itself it lets it sleep for another 50 us.
fn be_punctual() {
    #[cfg(target_os = "linux")]
    {
        // Where that is not to be had, a rest takes twice as long.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1_000));
    }
}

/// Long beside a system call (5 us), short beside what calls under load take.
const REST: Duration = Duration::from_micros(50);
/// So many have to come in the time of a rest, or it saves nothing.
const FEWEST: u64 = 4;
/// From so many a turn on they come together by themselves.
const TOGETHER: u64 = 8;
/// Turns of a phase that tells how it is.
const TRIED: u32 = 32;
/// Turns until it is looked at again.
const KEPT: u32 = 1 << 10;
/// The same, where trials were in vain many times.
const LONGEST: u32 = 1 << 16;
/// What takes longer tells no more: a pause is soon forgotten.
const RARE: Duration = Duration::from_micros(200);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::{Channel, Cx, Server, testing};

    #[tokio::test]
    async fn calls_and_answers_are_counted_where_they_come() {
        let memory = testing::serve(Server::new());
        let channel = Channel::builder("json-rpc://server:1").connector(memory.connector());
        let channel = channel.build().unwrap();
        let services = channel.call_json(&Cx::new(), "Locum.Services", "null").await;
        assert!(services.unwrap().contains("Locum.Services"));
        assert_eq!(MESSAGES.get(), 2);
        rest();
        assert_eq!(MESSAGES.get(), 0);
    }

    /// How many of 1,000 turns it rests in, once 10,000 are over, where callers of that number each call again as
    /// soon as they are answered, and each call takes its client (who takes one after the other) so long.
    fn rests(callers: u64, client: u64) -> usize {
        /// What a turn takes the server, and what a call does to get there, in microseconds.
        const TURN: u64 = 8;
        const WAY: u64 = 20;
        let mut trial = Trial::new();
        let mut rests = 0;
        let mut rest = 0;
        // When each call arrives, in order.
        let mut calls: VecDeque<u64> = (1..=callers).map(|n| n * client).collect();
        let (mut now, mut asked, mut client_is_free) = (0, 0, callers * client);
        for turn in 0..11_000 {
            now = (now + rest).max(calls[0]);
            let arrived = calls.iter().take_while(|at| **at <= now).count();
            calls.drain(..arrived);
            now += TURN;
            for _ in 0..arrived {
                client_is_free = client_is_free.max(now + WAY) + client;
                calls.push_back(client_is_free);
            }
            let took = Duration::from_micros(now - std::mem::replace(&mut asked, now));
            rest = if trial.turn(arrived as u64, took) { 50 } else { 0 };
            rests += usize::from(turn >= 10_000 && rest > 0);
        }
        rests
    }

    #[test]
    fn it_rests_where_many_calls_come_one_by_one() {
        assert!(rests(64, 8) > 900);
        assert!(rests(256, 6) > 900);
    }

    #[test]
    fn it_does_not_rest_where_that_would_be_felt() {
        for callers in 1..=8 {
            assert!(rests(callers, 8) <= 32, "{callers}");
        }
    }

    #[test]
    fn it_does_not_rest_where_little_would_come() {
        assert_eq!(rests(64, 20), 0);
    }

    #[test]
    fn it_does_not_rest_where_calls_come_together() {
        let mut trial = Trial::new();
        let rests = (0..10_000).filter(|_| trial.turn(40, Duration::from_micros(80))).count();
        assert_eq!(rests, 0);
    }

    #[test]
    fn what_was_in_vain_is_tried_more_and_more_seldom() {
        let mut trial = Trial::new();
        // Nothing more comes at once for it.
        let mut turn = |_: &u32| trial.turn(1, Duration::from_micros(10));
        let mut trials = |turns: u32| (0..turns).filter(&mut turn).count() as u32 / TRIED;
        assert_eq!(trials(10 * KEPT), 4);
        assert_eq!(trials(256 * KEPT), 6);
    }
}
