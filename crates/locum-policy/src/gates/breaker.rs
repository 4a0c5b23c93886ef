#![doc = include_str!("../../docs/breaker.md")]

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::ratio::Ratio;
use crate::rejection::Facts;
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::tap::Tap;
use crate::{Class, Event, Kind, Observer, Rejection, Time};

use self::machine::{Machine, Refusal};
pub use self::settings::{HalfOpen, Per, Settings, Slow, Window};
pub use self::table::Breakers;
pub use self::watch::Watch;

mod in_flight;
mod machine;
mod settings;
mod table;
mod watch;
mod window;

/// One circuit breaker: a state machine behind a lock, and the two words that let calls pass it
/// while it is closed without taking that lock.
pub struct Breaker {
    target: Box<str>,
    /// `epoch << 1 | 1` while admission is unconditional, `epoch << 1` while the machine is asked.
    gate: AtomicU64,
    /// Counts quick successes while they decide nothing.
    successes: Tap,
    /// The version of the machine's numbers, and the threshold among them.
    version: AtomicU64,
    threshold: AtomicU64,
    /// Until when whoever comes is refused, in nanoseconds; 0 while some may pass.
    shut: AtomicU64,
    /// Until when, at the latest, it has no place for another probe, in nanoseconds; 0 while it has, or needs none.
    busy: AtomicU64,
    core: Mutex<Core>,
}

struct Core {
    machine: Machine,
    forced: Option<(Override, Time)>,
    /// Of the successes tap.
    generation: u32,
}

/// Leave to try once, to be settled exactly once.
#[derive(Debug)]
pub struct Permit {
    epoch: u64,
    admitted: Time,
    /// The call's place among the probes or the calls in flight, where these are followed.
    slot: Option<u32>,
}

impl Breaker {
    pub(crate) fn new(target: &str, numbers: &Arc<Numbers>, seed: u64) -> Self {
        let core =
            Core { machine: Machine::new(Arc::clone(numbers), seed), forced: None, generation: 0 };
        let breaker = Self {
            target: target.into(),
            gate: AtomicU64::new(0),
            successes: Tap::shut(),
            version: AtomicU64::new(0),
            threshold: AtomicU64::new(u64::MAX),
            shut: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            core: Mutex::new(core),
        };
        breaker.publish(&mut breaker.lock(), Time::ZERO);
        breaker
    }

    /// What it guards: an upstream, an endpoint or a method.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Leave to begin an attempt at `now`, while that needs no decision; `None`: [ask](Self::admit).
    #[inline]
    pub(crate) fn pass(&self, numbers: &Arc<Numbers>, now: Time) -> Option<Permit> {
        let gate = self.gate.load(Ordering::Acquire);
        let open = gate & 1 == 1 && self.version.load(Ordering::Relaxed) == numbers.version;
        open.then_some(Permit { epoch: gate >> 1, admitted: now, slot: None })
    }

    /// May an attempt begin at `now`, to end by `deadline`? Asks the machine, under the lock.
    /// Transitions are added to `changes`.
    ///
    /// # Errors
    ///
    /// The refusal, in the name of `policy`.
    #[cold]
    pub(crate) fn admit(
        &self,
        policy: &str,
        numbers: &Arc<Numbers>,
        now: Time,
        deadline: Option<Time>,
        seed: u64,
        changes: &mut Vec<Transition>,
    ) -> Result<Permit, Rejection> {
        let mut core = self.lock();
        if numbers.version > core.machine.numbers().version {
            core.machine.adopt(numbers);
        }
        let admitted = match core.forced(now) {
            Some((Override::ForceOpen, expiry)) => Err(forced_open(now, expiry)),
            Some((Override::ForceClosed, _)) => {
                // The machine goes on beneath; whom it refuses passes without counting.
                let admitted =
                    core.machine.admit(now, deadline.unwrap_or(Time::NEVER), seed, changes);
                Ok(admitted.unwrap_or(Permit { epoch: u64::MAX, admitted: now, slot: None }))
            }
            None => core.machine.admit(now, deadline.unwrap_or(Time::NEVER), seed, changes),
        };
        self.publish(&mut core, now);
        drop(core);
        admitted.map_err(|refusal| refusal.in_the_name_of(policy))
    }

    /// What was admitted ended at `now`; tells whether that was too late to count (`stale`).
    pub(crate) fn settle(
        &self,
        permit: Permit,
        class: Class,
        now: Time,
        changes: &mut Vec<Transition>,
    ) -> bool {
        let current = || self.gate.load(Ordering::Acquire) == permit.epoch << 1 | 1;
        let took = now.as_nanos().saturating_sub(permit.admitted.as_nanos());
        let quick = class == Class::Success && took <= self.threshold.load(Ordering::Relaxed);
        if permit.slot.is_none() {
            if quick && self.successes.add(now, current) {
                return false;
            }
            if class == Class::Ignored && current() {
                return false;
            }
        }
        self.record(&permit, class, now, changes)
    }

    /// Tells the machine, under the lock.
    #[cold]
    fn record(
        &self,
        permit: &Permit,
        class: Class,
        now: Time,
        changes: &mut Vec<Transition>,
    ) -> bool {
        let mut core = self.lock();
        let stale = core.machine.settle(permit, class, now, changes);
        self.publish(&mut core, now);
        stale
    }

    /// What was admitted ended, when nobody knows the time and nobody listens.
    #[inline]
    pub(crate) fn release(&self, permit: Permit) {
        if permit.slot.is_some() {
            // A slot returns; of what is published only that there is a place for a probe changes.
            let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            core.machine.release(&permit);
            self.publish_places(&core);
        }
    }

    /// Does what time alone brings about by `now`: lost probes, the end of a ramp.
    pub(crate) fn tick(&self, now: Time, changes: &mut Vec<Transition>) {
        let mut core = self.lock();
        core.machine.advance(now, changes);
        self.publish(&mut core, now);
    }

    /// When [`tick`](Self::tick) next has something to do.
    pub(crate) fn due(&self) -> Option<Time> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).machine.due()
    }

    /// Throws the switch beside the states, until `expiry`; `None` takes it back.
    pub(crate) fn force(&self, forced: Option<Override>, expiry: Time, now: Time) {
        let mut core = self.lock();
        core.forced = forced.map(|forced| (forced, expiry));
        match forced {
            Some(Override::ForceOpen) => core.machine.note_override(State::Open),
            Some(Override::ForceClosed) => core.machine.note_override(State::Closed),
            None => {}
        }
        self.publish(&mut core, now);
    }

    /// How it stands.
    pub(crate) fn snapshot(&self, now: Time) -> Snapshot {
        let mut core = self.lock();
        let forced = core.forced(now);
        let machine = &mut core.machine;
        let counts = machine.counts(now);
        let snapshot = Snapshot {
            target: self.target.clone(),
            state: machine.state(),
            calls: counts.calls,
            failures: counts.failures,
            slow: counts.slow,
            until: machine.until(),
            trips: machine.trips(),
            forced,
            open_for: machine.open_for(now),
            transitions: machine.ledger().to_vec(),
        };
        self.publish(&mut core, now);
        snapshot
    }

    /// Whether it refuses whoever comes at `now`. Takes no lock. Once its wait is over it does not,
    /// whether or not a probe has come yet.
    pub(crate) fn is_shut(&self, now: Time) -> bool {
        now.as_nanos() < self.shut.load(Ordering::Relaxed)
    }

    /// Whether it has no place for another probe at `now`. Takes no lock.
    pub(crate) fn is_busy(&self, now: Time) -> bool {
        now.as_nanos() < self.busy.load(Ordering::Relaxed)
    }

    /// Whether somebody forced it open.
    pub(crate) fn is_forced_open(&self, now: Time) -> bool {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(core.forced(now), Some((Override::ForceOpen, _)))
    }

    /// Whether it is as good as a new one, so that it may be forgotten.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        let snapshot = self.snapshot(now);
        snapshot.state == State::Closed && snapshot.calls == 0 && snapshot.forced.is_none()
    }

    /// Takes the lock and what was counted without it.
    fn lock(&self) -> MutexGuard<'_, Core> {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.machine.record_successes(self.successes.close());
        core
    }

    /// Before the lock is given back: tells those who will not take it what they may do.
    fn publish(&self, core: &mut Core, now: Time) {
        self.publish_places(core);
        let machine = &mut core.machine;
        let numbers = machine.numbers();
        let threshold = numbers.slow.as_ref().map_or(Duration::MAX, |slow| slow.threshold);
        let open = machine.state() == State::Closed
            && !numbers.tracks_in_flight()
            && core.forced.is_none();
        let shut = match core.forced {
            Some((Override::ForceOpen, expiry)) => expiry,
            Some((Override::ForceClosed, _)) => Time::ZERO,
            None => machine.until().unwrap_or(Time::ZERO),
        };
        self.shut.store(shut.as_nanos(), Ordering::Relaxed);
        self.version.store(numbers.version, Ordering::Relaxed);
        self.threshold
            .store(u64::try_from(threshold.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        // The gate before the tap: who finds the tap of an epoch open finds that epoch at the gate.
        self.gate.store(machine.epoch() << 1 | u64::from(open), Ordering::Release);
        if open && machine.counts_blindly(now) {
            let (start, end) = machine.stretch();
            core.generation = core.generation.wrapping_add(1);
            self.successes.open(core.generation, start, end);
        }
    }
}

impl Breaker {
    fn publish_places(&self, core: &Core) {
        let busy = match core.forced {
            Some((Override::ForceClosed, _)) => None,
            _ => core.machine.busy_until(),
        };
        self.busy.store(busy.unwrap_or(Time::ZERO).as_nanos(), Ordering::Relaxed);
    }
}

impl Core {
    /// The switch, unless its time is over.
    fn forced(&mut self, now: Time) -> Option<(Override, Time)> {
        self.forced = self.forced.filter(|(_, expiry)| now < *expiry);
        self.forced
    }
}

impl Refusal {
    fn in_the_name_of(self, policy: &str) -> Rejection {
        Facts {
            policy: policy.into(),
            kind: Kind::Breaker,
            reason: self.reason,
            retry_after: self.retry_after,
            detail: self.detail,
            limit: None,
        }
        .into()
    }
}

fn forced_open(now: Time, expiry: Time) -> Refusal {
    let retry_after = (expiry != Time::NEVER).then(|| now.until(expiry));
    Refusal { reason: "open", retry_after, detail: "forced open by hand".into() }
}

/// Tells `observer` what happened to `breaker`.
#[inline]
pub(crate) fn tell(
    changes: &[Transition],
    policy: &str,
    per: Per,
    breaker: &Breaker,
    observer: &impl Observer,
) {
    for transition in changes {
        let event = Event::State { policy, per, target: breaker.target(), transition };
        observer.event(transition.at, &event);
    }
}

/// The states of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Calls pass and are counted.
    Closed,
    /// Calls are refused until a time.
    Open,
    /// A few calls pass, to see whether the target works again.
    HalfOpen,
    /// A growing share of calls passes.
    Ramp,
}

impl State {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Ramp => "ramp",
        }
    }
}

/// What brought a transition about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// So many failures in a row.
    Consecutive,
    /// The share of failures.
    FailureRate,
    /// The share of slow calls.
    SlowRate,
    /// The time to be open has passed.
    WaitOver,
    /// A probe failed.
    ProbeFailed,
    /// A probe did not settle in time.
    ProbeLost,
    /// Enough probes succeeded.
    Recovered,
    /// The ramp is over.
    Ramped,
    /// Somebody threw the switch.
    Override,
}

impl Trigger {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::WaitOver => "wait_over",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeLost => "probe_lost",
            Self::Recovered => "recovered",
            Self::Ramped => "ramped",
            Self::Override => "override",
        }
    }
}

/// A change of a breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it happened.
    pub at: Time,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub trigger: Trigger,
    /// Of a trip: how many calls were counted; else 0.
    pub calls: u64,
    /// Of a trip: how many of them had failed; else 0.
    pub failures: u64,
    /// Of a trip: how many of them were slow; else 0.
    pub slow: u64,
    /// Of an opening: when the first probe may pass.
    pub until: Option<Time>,
}

/// The switch beside the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// Refuse everything; the state machine sees nothing.
    ForceOpen,
    /// Admit everything; the state machine goes on beneath.
    ForceClosed,
}

/// How a breaker stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What it guards.
    pub target: Box<str>,
    /// Its state.
    pub state: State,
    /// Calls in the window.
    pub calls: u64,
    /// Failures among them.
    pub failures: u64,
    /// Slow ones among them.
    pub slow: u64,
    /// While open: when the first probe may pass.
    pub until: Option<Time>,
    /// Openings without a calm stretch between.
    pub trips: u32,
    /// The switch, and when it goes back by itself (`Time::NEVER`: not).
    pub forced: Option<(Override, Time)>,
    /// Time spent open, in all.
    pub open_for: Duration,
    /// How often it went from one state to another, and why.
    pub transitions: Vec<(State, State, Trigger, u64)>,
}

impl Snapshot {
    /// The state that calls meet: what the switch says, or the machine's own.
    pub fn met(&self) -> State {
        match self.forced {
            Some((Override::ForceOpen, _)) => State::Open,
            Some((Override::ForceClosed, _)) => State::Closed,
            None => self.state,
        }
    }
}

/// Settings that are known to be in range, in the units of the machine.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// Raised by every reload; the highest one seen counts.
    pub(crate) version: u64,
    shape: Shape,
    min_calls: u64,
    failure_rate: Ratio,
    slow: Option<SlowNumbers>,
    consecutive: Option<u32>,
    wait: Duration,
    factor: Factor,
    max_wait: Duration,
    jitter: Jitter,
    half_open: HalfOpen,
    calm: Duration,
    ramp: Duration,
}

#[derive(Debug)]
struct SlowNumbers {
    threshold: Duration,
    rate: Ratio,
    in_flight: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Buckets, each `width` nanoseconds.
    Time { width: u64, buckets: usize },
    /// The last so many outcomes.
    Last(usize),
}

impl Numbers {
    fn tracks_in_flight(&self) -> bool {
        self.slow.as_ref().is_some_and(|slow| slow.in_flight)
    }

    fn is_slow(&self, took: Duration) -> bool {
        self.slow.as_ref().is_some_and(|slow| took > slow.threshold)
    }
}

/// How much longer each wait is than the one before.
#[derive(Clone, Copy, Debug)]
struct Factor(Ratio);

impl Factor {
    fn stretch(self, wait: Duration) -> Duration {
        Duration::from_nanos(self.0.of(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// How far a wait strays from its length, either way.
#[derive(Clone, Copy, Debug)]
struct Jitter(Ratio);

impl Jitter {
    fn around(self, wait: Duration, word: u64) -> Duration {
        let stray = self.0.of(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        let offset = crate::seed::up_to(word, stray.saturating_mul(2));
        (wait + Duration::from_nanos(offset)).saturating_sub(Duration::from_nanos(stray))
    }
}
