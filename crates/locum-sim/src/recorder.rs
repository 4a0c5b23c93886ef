//! Watches a run: writes its decision log and adds up its summary.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::Duration;

use locum_policy::gates::breaker::{Per, State};
use locum_policy::{Event, Observer, Outcome, Time, decision_log};

use crate::histogram::Histogram;
use crate::summary::{Latency, Outcomes, States, Summary};

/// Watches all calls of a run.
pub(crate) struct Recorder<'a> {
    inner: RefCell<Inner<'a>>,
    /// What is dropped from now on is unfinished.
    closing: Cell<bool>,
    /// Breakers that may do something by themselves.
    restless: Cell<u64>,
}

struct Inner<'a> {
    log: Option<&'a mut dyn Write>,
    lines: Vec<u8>,
    failed: Option<io::Error>,
    calls: u64,
    attempts: u64,
    outcomes: Outcomes,
    latency: Histogram,
    breakers: HashMap<Box<str>, Stay>,
}

/// How long a breaker has been where.
#[derive(Default)]
struct Stay {
    state: Option<State>,
    since: Time,
    closed: Duration,
    open: Duration,
    half_open: Duration,
    ramp: Duration,
}

/// The log is given on in pieces of about this size.
const PIECE: usize = 64 << 10;

impl<'a> Recorder<'a> {
    pub(crate) fn new(log: Option<&'a mut dyn Write>) -> Self {
        let inner = Inner {
            log,
            lines: Vec::new(),
            failed: None,
            calls: 0,
            attempts: 0,
            outcomes: Outcomes::default(),
            latency: Histogram::default(),
            breakers: HashMap::new(),
        };
        Self { inner: RefCell::new(inner), closing: Cell::new(false), restless: Cell::new(0) }
    }

    /// The observer of call `id`.
    pub(crate) const fn watch(&self, id: u64) -> Watch<'_, 'a> {
        Watch { recorder: self, id }
    }

    /// One more call has arrived.
    pub(crate) fn count_call(&self) {
        self.inner.borrow_mut().calls += 1;
    }

    /// Whether a breaker may do something by itself: lose a probe, end a ramp.
    pub(crate) const fn is_restless(&self) -> bool {
        self.restless.get() > 0
    }

    /// The calls that are dropped from now on are unfinished.
    pub(crate) fn close(&self) {
        self.closing.set(true);
    }

    /// The summary at `end`, with the breakers of these targets.
    ///
    /// # Errors
    ///
    /// The log could not be written.
    pub(crate) fn finish<'t>(
        self,
        end: Time,
        per: Option<Per>,
        targets: impl Iterator<Item = &'t str>,
    ) -> io::Result<Summary> {
        let mut inner = self.inner.into_inner();
        inner.write_out();
        if let Some(log) = &mut inner.log
            && inner.failed.is_none()
        {
            inner.failed = log.flush().err();
        }
        if let Some(error) = inner.failed {
            return Err(error);
        }
        let mut breakers = BTreeMap::new();
        for target in targets {
            let mut stay = inner.breakers.remove(target).unwrap_or_default();
            stay.move_to(State::Closed, end);
            breakers.insert(target.to_owned(), stay.states());
        }
        let all = breakers.values().fold(States::default(), |sum, states| States {
            closed: sum.closed + states.closed,
            open: sum.open + states.open,
            half_open: sum.half_open + states.half_open,
            ramp: sum.ramp + states.ramp,
        });
        let targeted = breakers.len();
        if per == Some(Per::Upstream) {
            breakers.clear();
        }
        let latency = |share| millis(inner.latency.percentile(share));
        Ok(Summary {
            calls: inner.calls,
            attempts: inner.attempts,
            amplification: inner.attempts as f64 / inner.calls.max(1) as f64,
            outcomes: inner.outcomes,
            latency: Latency {
                mean: inner.latency.mean() / 1e6,
                p50: latency(0.5),
                p90: latency(0.9),
                p99: latency(0.99),
                p999: latency(0.999),
                max: millis(inner.latency.max()),
            },
            breaker: (targeted > 0).then_some(all),
            breakers,
            shares: None,
            servers: None,
            duration: millis(end.as_nanos()),
        })
    }
}

impl Inner<'_> {
    fn end(&mut self, outcome: Option<Outcome>, attempts: u32, took: Duration) {
        let outcomes = &mut self.outcomes;
        let count = match outcome {
            Some(Outcome::Success) => &mut outcomes.success,
            Some(Outcome::Failure) => &mut outcomes.failure,
            Some(Outcome::Rejected) => &mut outcomes.rejected,
            Some(Outcome::Deadline) => &mut outcomes.deadline,
            Some(Outcome::Cancelled) => &mut outcomes.cancelled,
            None => &mut outcomes.unfinished,
        };
        *count += 1;
        if outcome.is_some() && attempts > 0 {
            self.latency.record(took);
        }
    }

    fn write_out(&mut self) {
        if let Some(log) = &mut self.log
            && self.failed.is_none()
        {
            self.failed = log.write_all(&self.lines).err();
        }
        self.lines.clear();
    }
}

impl Stay {
    fn move_to(&mut self, state: State, at: Time) {
        let time = match self.state.replace(state).unwrap_or(State::Closed) {
            State::Closed => &mut self.closed,
            State::Open => &mut self.open,
            State::HalfOpen => &mut self.half_open,
            State::Ramp => &mut self.ramp,
        };
        *time += self.since.until(at);
        self.since = at;
    }

    fn states(&self) -> States {
        let millis = |time: Duration| time.as_nanos() as f64 / 1e6;
        States {
            closed: millis(self.closed),
            open: millis(self.open),
            half_open: millis(self.half_open),
            ramp: millis(self.ramp),
        }
    }
}

/// Watches one call.
pub(crate) struct Watch<'r, 'a> {
    recorder: &'r Recorder<'a>,
    id: u64,
}

impl Observer for Watch<'_, '_> {
    fn event(&self, now: Time, event: &Event<'_>) {
        let inner = &mut *self.recorder.inner.borrow_mut();
        let closing = self.recorder.closing.get();
        match event {
            Event::Done { attempts, took, .. } if closing => {
                inner.end(None, *attempts, *took);
                if inner.log.is_some() {
                    let lines = &mut inner.lines;
                    decision_log::done(lines, now, self.id, "unfinished", *attempts, *took);
                }
                return;
            }
            // An unfinished call settles nothing: it goes on, beyond what is known.
            _ if closing => return,
            Event::Attempt(_) => inner.attempts += 1,
            Event::Done { outcome, attempts, took } => inner.end(Some(*outcome), *attempts, *took),
            Event::State { target, transition, .. } => {
                if !inner.breakers.contains_key(*target) {
                    inner.breakers.insert((*target).into(), Stay::default());
                }
                let stay = inner.breakers.get_mut(*target).expect("it was just put there");
                stay.move_to(transition.to, transition.at);
                let restless = |state| u64::from(matches!(state, State::HalfOpen | State::Ramp));
                let count = self.recorder.restless.get() + restless(transition.to);
                self.recorder.restless.set(count - restless(transition.from));
            }
            _ => {}
        }
        if inner.log.is_some() {
            decision_log::write(&mut inner.lines, now, self.id, event);
            if inner.lines.len() >= PIECE {
                inner.write_out();
            }
        }
    }
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
