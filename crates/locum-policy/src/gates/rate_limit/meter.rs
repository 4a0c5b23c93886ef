//! One limit: its numbers, and its bucket or buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::rejection::LimitState;
use crate::seed::mix;
use crate::settings::Error;
use crate::{Call, Key, Time};

use super::cell::Cell;
use super::gcra::{Gcra, Hit, Refusal};
use super::table::Table;
use super::{Algorithm, Settings, Snapshot, sip};

pub(super) struct Meter {
    settings: Settings,
    gcra: Gcra,
    buckets: Buckets,
    /// The latest time seen; threads may be handed slightly older ones.
    last: AtomicU64,
    hash: (u64, u64),
}

enum Buckets {
    One(Cell),
    ByKey(Table),
}

/// A limit's refusal.
pub(super) struct Refused<'a> {
    pub(super) settings: &'a Settings,
    pub(super) retry_after: Option<Duration>,
    /// It could be had, but only after a longer wait than is allowed.
    pub(super) too_long_a_wait: bool,
    pub(super) state: LimitState,
}

/// How long a call may be made to wait: by whom does not matter.
struct Ask {
    now: Time,
    units: u64,
    deadline: Option<Time>,
}

/// Why a taking fails, with the place of the meter.
enum Failed {
    Refused(Refusal, u128),
    TooLate(Duration, u128),
}

impl Meter {
    pub(super) fn new(settings: &Settings, seed: u64) -> Result<Self, Error> {
        settings.check()?;
        let gcra = Gcra::new(settings.rate, settings.burst());
        let buckets = match settings.max_keys() {
            None => Buckets::One(Cell::new(&gcra)),
            Some(max_keys) => Buckets::ByKey(Table::new(&gcra, max_keys)),
        };
        let hash = (mix(seed, HASH), mix(seed, HASH + 1));
        Ok(Self { settings: settings.clone(), gcra, buckets, last: AtomicU64::new(0), hash })
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes what the call costs, if its turn comes before `deadline`.
    #[inline]
    pub(super) fn take(
        &self,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Result<Hit, Refused<'_>> {
        let ask = self.ask(call, now, deadline);
        let decide = |tat| self.decide(tat, &ask);
        let hit = match &self.buckets {
            Buckets::One(cell) => cell.update(decide),
            Buckets::ByKey(table) => table.update(self.key(call), &self.gcra, ask.now, decide),
        };
        hit.map_err(|failed| self.refused(failed, ask.now))
    }

    /// What [`take`](Self::take) would say.
    pub(super) fn look(
        &self,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Result<Hit, Refused<'_>> {
        let ask = self.ask(call, now, deadline);
        let tat = match &self.buckets {
            Buckets::One(cell) => cell.tat(),
            Buckets::ByKey(table) => table.tat(self.key(call)),
        };
        self.decide(tat, &ask).map_err(|failed| self.refused(failed, ask.now))
    }

    /// Undoes a taking that another limit's refusal made void.
    pub(super) fn give_back(&self, call: &Call<'_>) {
        let ticks = self.gcra.intervals(self.units(call));
        let undo = |tat: u128| {
            Ok::<_, std::convert::Infallible>(Hit { tat: tat.saturating_sub(ticks), ahead: 0 })
        };
        let Ok(_) = match &self.buckets {
            Buckets::One(cell) => cell.update(undo),
            Buckets::ByKey(table) => table.update(self.key(call), &self.gcra, Time::ZERO, undo),
        };
    }

    /// How long a call that took `hit` waits for its turn.
    #[inline]
    pub(super) fn wait(&self, call: &Call<'_>, hit: &Hit) -> Duration {
        if self.settings.algorithm == Algorithm::TokenBucket || self.units(call) == 0 {
            return Duration::ZERO;
        }
        self.turn(hit)
    }

    /// How far ahead the turn of `hit` is, but for the free units.
    fn turn(&self, hit: &Hit) -> Duration {
        let free = self.gcra.intervals(self.settings.free.unwrap_or(1));
        self.gcra.duration(hit.ahead.saturating_sub(free))
    }

    pub(super) fn remaining(&self, hit: &Hit) -> u64 {
        self.gcra.remaining(hit)
    }

    #[inline]
    pub(super) fn state(&self, hit: &Hit) -> LimitState {
        LimitState {
            quota: self.settings.rate.count.get(),
            window: self.settings.rate.period(),
            remaining: self.gcra.remaining(hit),
            reset: self.gcra.duration(hit.ahead),
        }
    }

    pub(super) fn snapshot(&self, now: Time) -> Snapshot {
        let (cell, keys) = match &self.buckets {
            Buckets::One(cell) => (cell, 0),
            Buckets::ByKey(table) => (table.overflow(), table.len()),
        };
        let state = self.standing(cell.tat(), now);
        Snapshot { settings: self.settings.clone(), state, keys }
    }

    #[inline]
    fn decide(&self, tat: u128, ask: &Ask) -> Result<Hit, Failed> {
        if ask.units == 0 {
            return Ok(Hit { tat, ahead: tat.saturating_sub(self.gcra.ticks(ask.now)) });
        }
        let hit = self
            .gcra
            .hit(tat, ask.now, ask.units)
            .map_err(|refusal| Failed::Refused(refusal, tat))?;
        if self.settings.algorithm == Algorithm::TokenBucket {
            return Ok(hit);
        }
        let longest = ask.deadline.map_or(Duration::MAX, |deadline| ask.now.until(deadline));
        let longest = self.settings.max_wait.map_or(longest, |max_wait| max_wait.min(longest));
        match self.turn(&hit).checked_sub(longest) {
            None | Some(Duration::ZERO) => Ok(hit),
            Some(beyond) => Err(Failed::TooLate(beyond, tat)),
        }
    }

    fn refused(&self, failed: Failed, now: Time) -> Refused<'_> {
        let (retry_after, too_long_a_wait, tat) = match failed {
            Failed::Refused(Refusal::Never, tat) => (None, false, tat),
            Failed::Refused(Refusal::Limited(early), tat) => {
                (Some(self.gcra.duration(early)), false, tat)
            }
            Failed::TooLate(beyond, tat) => (Some(beyond), true, tat),
        };
        Refused {
            settings: &self.settings,
            retry_after,
            too_long_a_wait,
            state: self.standing(tat, now),
        }
    }

    fn standing(&self, tat: u128, now: Time) -> LimitState {
        self.state(&Hit { tat, ahead: tat.saturating_sub(self.gcra.ticks(now)) })
    }

    fn ask(&self, call: &Call<'_>, now: Time, deadline: Option<Time>) -> Ask {
        let last = self.last.load(Ordering::Relaxed);
        let nanos = now.as_nanos();
        if nanos > last {
            self.last.store(nanos, Ordering::Relaxed);
        }
        Ask { now: Time::from_nanos(nanos.max(last)), units: self.units(call), deadline }
    }

    const fn units(&self, call: &Call<'_>) -> u64 {
        call.cost.saturating_mul(self.settings.cost)
    }

    fn key(&self, call: &Call<'_>) -> u64 {
        self.settings.key.iter().fold(0, |so_far, part| {
            let bytes = match part {
                Key::Method => Some(call.method.as_bytes()),
                part => call.keys.key(part),
            };
            // Having no value is a value of its own, told apart from an empty one by the key.
            let (k0, k1) = (self.hash.0 ^ so_far, self.hash.1 ^ u64::from(bytes.is_none()));
            sip::hash(k0, k1, bytes.unwrap_or_default())
        })
    }
}

/// What the words for hashing keys are for.
const HASH: u64 = 0x6861_7368;
