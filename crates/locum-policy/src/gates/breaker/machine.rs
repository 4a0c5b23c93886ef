//! The state machine of one breaker: pure, and the only place where its state changes.

use std::sync::Arc;
use std::time::Duration;

use crate::seed::{mix, up_to};
use crate::text::spoken;
use crate::{Class, Time};

use super::in_flight::InFlight;
use super::window::{Counts, Window};
use super::{Numbers, Permit, Shape, State, Transition, Trigger};

pub(super) struct Machine {
    numbers: Arc<Numbers>,
    seed: u64,
    phase: Phase,
    /// Raised by every transition; what was admitted under another one no longer counts.
    epoch: u64,
    /// How often it opened without a calm stretch between.
    trips: u32,
    /// The last wait, before its jitter.
    wait: Duration,
    window: Window,
    /// Failures in a row.
    run: u32,
    in_flight: InFlight,
    /// Why it opened last.
    tripped: Option<(Trigger, Counts)>,
    /// How often each transition happened.
    ledger: Vec<(State, State, Trigger, u64)>,
    /// Time spent open, up to the last time it left that state.
    open_for: Duration,
}

enum Phase {
    Closed { since: Time },
    Open { since: Time, until: Time },
    HalfOpen { ok: u32, failed: u32, next: u32, probes: Vec<Probe> },
    Ramp { since: Time },
}

/// A call that tries whether the target works again.
struct Probe {
    id: u32,
    /// When it counts as lost.
    lost: Time,
}

/// Why an attempt is not admitted.
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) retry_after: Option<Duration>,
    pub(super) detail: String,
}

impl Machine {
    pub(super) fn new(numbers: Arc<Numbers>, seed: u64) -> Self {
        Self {
            seed,
            phase: Phase::Closed { since: Time::ZERO },
            epoch: 0,
            trips: 0,
            wait: Duration::ZERO,
            window: Window::new(numbers.shape),
            run: 0,
            in_flight: InFlight::default(),
            tripped: None,
            ledger: Vec::new(),
            open_for: Duration::ZERO,
            numbers,
        }
    }

    /// May an attempt begin at `now`, to end by `deadline`?
    pub(super) fn admit(
        &mut self,
        now: Time,
        deadline: Time,
        seed: u64,
        changes: &mut Vec<Transition>,
    ) -> Result<Permit, Refusal> {
        self.advance(now, changes);
        if let Phase::Open { until, .. } = self.phase
            && now >= until
        {
            let phase = Phase::HalfOpen { ok: 0, failed: 0, next: 0, probes: Vec::new() };
            self.enter(phase, Trigger::WaitOver, None, now, changes);
        }
        if matches!(self.phase, Phase::Closed { .. }) && self.tracks_in_flight() {
            self.trip_if_slow(now, changes);
        }
        let epoch = self.epoch;
        let slot = match &mut self.phase {
            Phase::Closed { .. } if self.numbers.tracks_in_flight() => {
                Some(self.in_flight.begin(now))
            }
            Phase::Closed { .. } => None,
            Phase::Open { until, .. } => {
                let (retry_after, detail) = (Some(now.until(*until)), self.why_open());
                return Err(Refusal { reason: "open", retry_after, detail });
            }
            Phase::HalfOpen { ok, next, probes, .. } => {
                let half_open = &self.numbers.half_open;
                let probing = u32::try_from(probes.len()).unwrap_or(u32::MAX);
                if half_open.is_full(*ok, probing) {
                    let lease = probes.iter().map(|probe| now.until(probe.lost)).min();
                    let retry_after = lease.map(|lease| lease.min(self.numbers.wait));
                    let detail = format!(
                        "{probing} probes in flight, {ok} of {} succeeded",
                        half_open.required
                    );
                    return Err(Refusal { reason: "half_open_busy", retry_after, detail });
                }
                let id = *next;
                *next = next.wrapping_add(1);
                probes.push(Probe { id, lost: (now + half_open.lease).min(deadline) });
                Some(id)
            }
            Phase::Ramp { since } => {
                let elapsed = since.until(now);
                if !ramp_admits(elapsed, self.numbers.ramp, mix(seed, RAMP)) {
                    let share = 100 * elapsed.as_nanos() / self.numbers.ramp.as_nanos();
                    let detail = format!("letting {} % of the calls through", share.max(10));
                    return Err(Refusal { reason: "ramp", retry_after: None, detail });
                }
                None
            }
        };
        Ok(Permit { epoch, admitted: now, slot })
    }

    /// What was admitted ended; tells whether that came too late to count.
    pub(super) fn settle(
        &mut self,
        permit: &Permit,
        class: Class,
        now: Time,
        changes: &mut Vec<Transition>,
    ) -> bool {
        self.spare(permit, now);
        self.advance(now, changes);
        if permit.epoch != self.epoch {
            return true;
        }
        self.release(permit);
        let slow = self.numbers.is_slow(permit.admitted.until(now));
        match (&mut self.phase, class) {
            (_, Class::Ignored) | (Phase::Open { .. }, _) => {}
            (Phase::Closed { .. } | Phase::Ramp { .. }, _) => {
                self.record(class, slow, now, changes)
            }
            (Phase::HalfOpen { ok, .. }, Class::Success) if !slow => {
                *ok += 1;
                if *ok == self.numbers.half_open.required {
                    self.recover(now, changes);
                }
            }
            (Phase::HalfOpen { .. }, _) => self.fail_probe(Trigger::ProbeFailed, now, changes),
        }
        false
    }

    /// A probe that settles when its own time is over is not lost, as long as its lease is not: what
    /// it came to counts.
    fn spare(&mut self, permit: &Permit, now: Time) {
        let leased = permit.admitted + self.numbers.half_open.lease > now;
        if leased && matches!(self.phase, Phase::HalfOpen { .. }) {
            self.release(permit);
        }
    }

    /// What was admitted ended without a word about the target.
    pub(super) fn release(&mut self, permit: &Permit) {
        let Some(slot) = permit.slot.filter(|_| permit.epoch == self.epoch) else { return };
        match &mut self.phase {
            Phase::HalfOpen { probes, .. } => probes.retain(|probe| probe.id != slot),
            _ => self.in_flight.end(slot),
        }
    }

    /// What time alone brings about by `now`: lost probes, the end of a ramp.
    pub(super) fn advance(&mut self, now: Time, changes: &mut Vec<Transition>) {
        while let Phase::HalfOpen { probes, .. } = &mut self.phase
            && let Some((index, lost)) = first_lost(probes).filter(|(_, lost)| *lost <= now)
        {
            probes.swap_remove(index);
            self.fail_probe(Trigger::ProbeLost, lost, changes);
        }
        if let Phase::Ramp { since } = self.phase
            && since + self.numbers.ramp <= now
        {
            let at = since + self.numbers.ramp;
            self.enter(Phase::Closed { since: at }, Trigger::Ramped, None, at, changes);
        }
    }

    /// When [`advance`](Self::advance) next has something to do by itself.
    pub(super) fn due(&self) -> Option<Time> {
        match &self.phase {
            Phase::HalfOpen { probes, .. } => first_lost(probes).map(|(_, lost)| lost),
            Phase::Ramp { since } => Some(*since + self.numbers.ramp),
            Phase::Closed { .. } | Phase::Open { .. } => None,
        }
    }

    /// Quick successes counted while nothing had to be decided.
    pub(super) fn record_successes(&mut self, calls: u64) {
        if calls > 0 {
            self.window.record_successes(calls);
        }
    }

    /// Goes on with other numbers; a changed shape of the window restarts the window only (rule 9).
    pub(super) fn adopt(&mut self, numbers: &Arc<Numbers>) {
        if numbers.shape != self.numbers.shape {
            self.window = Window::new(numbers.shape);
        }
        self.numbers = Arc::clone(numbers);
    }

    /// Whether further quick successes in the newest bucket are nothing but a count: it is closed,
    /// no run is to be ended, and a success cannot bring about a trip by reaching `min_calls`.
    pub(super) fn counts_blindly(&mut self, now: Time) -> bool {
        let counts = self.window.counts(now);
        let spotless = counts.failures == 0 && counts.slow == 0;
        self.run == 0 && (spotless || counts.calls >= self.numbers.min_calls)
    }

    pub(super) const fn state(&self) -> State {
        self.phase.state()
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(super) const fn trips(&self) -> u32 {
        self.trips
    }

    pub(super) const fn until(&self) -> Option<Time> {
        match self.phase {
            Phase::Open { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Until when, at the latest, there is no place for another probe.
    pub(super) fn busy_until(&self) -> Option<Time> {
        let Phase::HalfOpen { ok, probes, .. } = &self.phase else { return None };
        let probing = u32::try_from(probes.len()).unwrap_or(u32::MAX);
        let is_full = self.numbers.half_open.is_full(*ok, probing);
        is_full.then(|| first_lost(probes).map(|(_, lost)| lost)).flatten()
    }

    pub(super) fn counts(&mut self, now: Time) -> Counts {
        self.window.counts(now)
    }

    pub(super) fn stretch(&self) -> (u64, u64) {
        self.window.stretch()
    }

    pub(super) fn ledger(&self) -> &[(State, State, Trigger, u64)] {
        &self.ledger
    }

    pub(super) fn open_for(&self, now: Time) -> Duration {
        match self.phase {
            Phase::Open { since, .. } => self.open_for + since.until(now),
            _ => self.open_for,
        }
    }

    /// Counts a switch thrown by hand.
    pub(super) fn note_override(&mut self, to: State) {
        self.note(self.state(), to, Trigger::Override);
    }

    fn tracks_in_flight(&self) -> bool {
        self.numbers.tracks_in_flight()
    }

    fn record(&mut self, class: Class, slow: bool, now: Time, changes: &mut Vec<Transition>) {
        self.window.record(now, class != Class::Success, slow);
        match class {
            Class::Success => self.run = 0,
            Class::Failure => self.run = self.run.saturating_add(1),
            // An overload neither lengthens nor ends the run.
            Class::Overload | Class::Ignored => {}
        }
        let counts = self.window.counts(now);
        if let Some(trigger) = self.verdict(counts) {
            self.open(trigger, Some(counts), now, changes);
        }
    }

    /// Counts what hangs as slow, so that a hang trips before its first timeout.
    fn trip_if_slow(&mut self, now: Time, changes: &mut Vec<Transition>) {
        let Some(slow) = &self.numbers.slow else { return };
        let hanging = self.in_flight.slow(slow.threshold, now);
        let mut counts = self.window.counts(now);
        counts.calls += hanging;
        counts.slow += hanging;
        if let Some(trigger) = self.verdict(counts) {
            self.open(trigger, Some(counts), now, changes);
        }
    }

    /// Rule 3.
    fn verdict(&self, counts: Counts) -> Option<Trigger> {
        let numbers = &self.numbers;
        let enough = counts.calls >= numbers.min_calls;
        if numbers.consecutive.is_some_and(|limit| self.run >= limit) {
            Some(Trigger::Consecutive)
        } else if enough && numbers.failure_rate.reached_by(counts.failures, counts.calls) {
            Some(Trigger::FailureRate)
        } else if enough
            && numbers
                .slow
                .as_ref()
                .is_some_and(|slow| slow.rate.reached_by(counts.slow, counts.calls))
        {
            Some(Trigger::SlowRate)
        } else {
            None
        }
    }

    fn fail_probe(&mut self, trigger: Trigger, at: Time, changes: &mut Vec<Transition>) {
        let Phase::HalfOpen { failed, .. } = &mut self.phase else { return };
        *failed += 1;
        if *failed > self.numbers.half_open.tolerated {
            self.open(trigger, None, at, changes);
        }
    }

    fn open(
        &mut self,
        trigger: Trigger,
        counts: Option<Counts>,
        at: Time,
        changes: &mut Vec<Transition>,
    ) {
        if let Phase::Closed { since } = self.phase
            && since.until(at) >= self.numbers.calm
        {
            self.trips = 0;
        }
        let numbers = &self.numbers;
        let longer = if self.trips == 0 { numbers.wait } else { numbers.factor.stretch(self.wait) };
        self.wait = longer.min(numbers.max_wait);
        self.trips = self.trips.saturating_add(1);
        let until = at + numbers.jitter.around(self.wait, mix(self.seed, self.epoch));
        if let Some(counts) = counts {
            self.tripped = Some((trigger, counts));
        }
        self.enter(Phase::Open { since: at, until }, trigger, counts, at, changes);
    }

    fn recover(&mut self, now: Time, changes: &mut Vec<Transition>) {
        let ramp = !self.numbers.ramp.is_zero();
        let phase = if ramp { Phase::Ramp { since: now } } else { Phase::Closed { since: now } };
        self.enter(phase, Trigger::Recovered, None, now, changes);
    }

    fn enter(
        &mut self,
        phase: Phase,
        trigger: Trigger,
        counts: Option<Counts>,
        at: Time,
        changes: &mut Vec<Transition>,
    ) {
        let (from, to) = (self.state(), phase.state());
        if let Phase::Open { since, .. } = self.phase {
            self.open_for += since.until(at);
        }
        // Rule 7, and the ramp starts afresh as well.
        if let Phase::Closed { .. } | Phase::Ramp { .. } = phase {
            self.window.clear();
            self.run = 0;
        }
        self.phase = phase;
        self.epoch += 1;
        self.in_flight = InFlight::default();
        self.note(from, to, trigger);
        let Counts { calls, failures, slow } = counts.unwrap_or_default();
        let until = self.until();
        changes.push(Transition { at, from, to, trigger, calls, failures, slow, until });
    }

    fn note(&mut self, from: State, to: State, trigger: Trigger) {
        let same = |entry: &&mut (State, State, Trigger, u64)| {
            (entry.0, entry.1, entry.2) == (from, to, trigger)
        };
        match self.ledger.iter_mut().find(same) {
            Some(entry) => entry.3 += 1,
            None => self.ledger.push((from, to, trigger, 1)),
        }
    }

    /// The sentence that explains a refusal while open.
    fn why_open(&self) -> String {
        let Some((trigger, counts)) = self.tripped else { return String::new() };
        let among = match self.numbers.shape {
            Shape::Time { width, buckets } => {
                let length = Duration::from_nanos(width.saturating_mul(buckets as u64));
                format!("{} calls {{}} in {}", counts.calls, spoken(length))
            }
            Shape::Last(_) => format!("the last {} calls {{}}", counts.calls),
        };
        let mut why = match trigger {
            Trigger::Consecutive => format!("{} calls failed in a row", self.run),
            Trigger::SlowRate => {
                let threshold =
                    self.numbers.slow.as_ref().map(|slow| slow.threshold).unwrap_or_default();
                let took = format!("took longer than {}", spoken(threshold));
                format!("{} of {}", counts.slow, among.replace("{}", &took))
            }
            _ => format!("{} of {}", counts.failures, among.replace("{}", "failed")),
        };
        if self.trips > 1 {
            why.push_str(&format!(", opened {} times since it was calm", self.trips));
        }
        why
    }
}

impl Phase {
    const fn state(&self) -> State {
        match self {
            Self::Closed { .. } => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
            Self::Ramp { .. } => State::Ramp,
        }
    }
}

fn first_lost(probes: &[Probe]) -> Option<(usize, Time)> {
    probes.iter().map(|probe| probe.lost).enumerate().min_by_key(|(_, lost)| *lost)
}

/// Rule 8: with probability max(0.1, elapsed / ramp).
fn ramp_admits(elapsed: Duration, ramp: Duration, word: u64) -> bool {
    let ramp = u64::try_from(ramp.as_nanos()).unwrap_or(u64::MAX);
    let share = elapsed.as_nanos().max(u128::from(ramp / 10));
    u128::from(up_to(word, ramp.saturating_sub(1))) < share
}

/// What the random word of an admission in RAMP is for.
const RAMP: u64 = 0x7261_6d70;
