#![doc = include_str!("../../docs/throttle.md")]

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::buckets::Buckets;
use crate::outcome::Heard;
use crate::ratio::Ratio;
use crate::rejection::Facts;
use crate::seed::mix;
use crate::settings::{Error, Mode, at_least, at_most, within};
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::tap::Tap;
use crate::text::spoken;
use crate::{Kind, Rejection, Time};

/// The share of attempts that is kept from a target which refuses many.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "ThrottleSettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// How many attempts the target is offered for each that it accepts, from 1 to 100. Too small: a few
    /// failures keep good calls back; too large: an overloaded target goes on refusing.
    pub k: f64,
    /// How long attempts are remembered. Too short: a few seconds without calls forget an outage; too
    /// long: recovery is noticed late.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: None, k: 2.0, window: Duration::from_secs(120) }
    }
}

impl Settings {
    fn check(&self) -> Result<(), Error> {
        within("throttle.k", self.k, 1.0, 100.0)?;
        at_least("throttle.window", self.window, Duration::from_millis(100))?;
        at_most("throttle.window", self.window, Duration::from_secs(86_400))
    }

    pub(crate) fn same_but_mode(&self, other: &Self) -> bool {
        Self { mode: None, ..self.clone() } == Self { mode: None, ..other.clone() }
    }
}

/// The throttles of one policy, by target.
pub(crate) struct Throttles {
    settings: Settings,
    by_name: Mutex<HashMap<Box<str>, Arc<Throttle>>>,
}

impl Throttles {
    pub(crate) fn build(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { settings: settings.clone(), by_name: Mutex::new(HashMap::new()) })
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The throttle before `target`, a new one where there is none.
    pub(crate) fn get(&self, target: &str) -> Arc<Throttle> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Throttle::new(&self.settings));
        Arc::clone(by_name.entry(target.into()).or_insert_with(new))
    }

    /// How they stand, by target.
    pub(crate) fn snapshot(&self, now: Time) -> Vec<Snapshot> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            by_name.iter().map(|(target, throttle)| throttle.snapshot(target, now)).collect();
        all.sort_by(|a, b| a.target.cmp(&b.target));
        all
    }
}

/// How a throttle stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What it stands before.
    pub target: Box<str>,
    /// Attempts in the window: those that were answered or failed, and those kept back.
    pub requests: u64,
    /// Those of them that the target accepted.
    pub accepts: u64,
    /// How many of a thousand attempts are kept back now.
    pub kept_back: u64,
}

/// The throttle before one target: counts behind a lock, and two words that let attempts pass without it
/// while none would be kept back.
pub(crate) struct Throttle {
    k: Ratio,
    window: Duration,
    /// Until then, in nanoseconds, nothing is kept back: more accepts only confirm it.
    calm_until: AtomicU64,
    /// Counts accepts for as long.
    accepts: Tap,
    core: Mutex<Core>,
}

struct Core {
    /// Requests and accepts.
    counts: Buckets<2>,
    /// When an attempt last passed in spite of a chance that it would not.
    passed: Option<Time>,
    /// Of the tap.
    generation: u32,
}

/// Why an attempt is kept back.
#[derive(Debug)]
pub(crate) struct Refusal {
    requests: u64,
    accepts: u64,
    window: Duration,
}

impl Throttle {
    pub(crate) fn new(settings: &Settings) -> Self {
        let nanos = u64::try_from(settings.window.as_nanos()).unwrap_or(u64::MAX);
        let counts = Buckets::new(nanos / BUCKETS as u64, BUCKETS);
        let throttle = Self {
            k: Ratio::nearest(settings.k),
            window: settings.window,
            calm_until: AtomicU64::new(0),
            accepts: Tap::shut(),
            core: Mutex::new(Core { counts, passed: None, generation: 0 }),
        };
        throttle.publish(&mut throttle.lock());
        throttle
    }

    /// May attempt `number` of the call with this seed be made at `now`?
    ///
    /// # Errors
    ///
    /// It is kept back, and has been counted.
    #[inline]
    pub(crate) fn admit(&self, seed: u64, number: u32, now: Time) -> Result<(), Refusal> {
        if now.as_nanos() < self.calm_until.load(Ordering::Acquire) {
            return Ok(());
        }
        self.draw(mix(seed, THROTTLE + u64::from(number)), now)
    }

    #[cold]
    fn draw(&self, word: u64, now: Time) -> Result<(), Refusal> {
        let mut core = self.lock();
        core.counts.advance(now);
        let [requests, accepts] = core.counts.total();
        let chance = Chance::of(self.k, requests, accepts);
        let starved = core.passed.is_none_or(|passed| passed.until(now) >= LONGEST_PAUSE);
        let refused = chance.meets(word) && !starved;
        if refused {
            core.counts.add(now, [1, 0]);
        } else if !chance.is_none() {
            core.passed = Some(core.passed.map_or(now, |passed| passed.max(now)));
        }
        self.publish(&mut core);
        if refused { Err(Refusal { requests, accepts, window: self.window }) } else { Ok(()) }
    }

    /// An attempt that was let pass has ended at `now`.
    #[inline]
    pub(crate) fn settle(&self, heard: Heard, now: Time) {
        let accepted = match heard {
            Heard::Accepted { .. } => true,
            Heard::Overload | Heard::Failed => false,
            // Nobody knows what the target would have said.
            Heard::Nothing => return,
        };
        if accepted && self.accepts.add(now, || true) {
            return;
        }
        self.record(accepted, now);
    }

    #[cold]
    fn record(&self, accepted: bool, now: Time) {
        let mut core = self.lock();
        core.counts.add(now, [1, accepted.into()]);
        self.publish(&mut core);
    }

    fn snapshot(&self, target: &str, now: Time) -> Snapshot {
        let mut core = self.lock();
        core.counts.advance(now);
        let [requests, accepts] = core.counts.total();
        self.publish(&mut core);
        let kept_back = Chance::of(self.k, requests, accepts).in_a_thousand();
        Snapshot { target: target.into(), requests, accepts, kept_back }
    }

    /// Takes the lock and what was counted without it.
    fn lock(&self) -> MutexGuard<'_, Core> {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let accepts = self.accepts.close();
        if accepts > 0 {
            let start = Time::from_nanos(core.counts.newest().0);
            core.counts.add(start, [accepts, accepts]);
        }
        core
    }

    /// Before the lock is given back: tells those who will not take it what they may do.
    fn publish(&self, core: &mut Core) {
        let [requests, accepts] = core.counts.total();
        let (start, end) = core.counts.newest();
        let calm = Chance::of(self.k, requests, accepts).is_none();
        self.calm_until.store(if calm { end } else { 0 }, Ordering::Release);
        if calm {
            core.generation = core.generation.wrapping_add(1);
            self.accepts.open(core.generation, start, end);
        }
    }
}

/// That an attempt is kept back: (requests - k * accepts) / (requests + 1), in billionths of a request.
#[derive(Clone, Copy)]
struct Chance {
    excess: u128,
    of: u128,
}

impl Chance {
    fn of(k: Ratio, requests: u64, accepts: u64) -> Self {
        let whole = u128::from(requests) * BILLION;
        Self { excess: whole.saturating_sub(k.billionths_of(accepts)), of: whole + BILLION }
    }

    const fn is_none(self) -> bool {
        self.excess == 0
    }

    /// Whether `word` falls into it. One of a hundred never does.
    fn meets(self, word: u64) -> bool {
        // Forty bits of chance, so that the products stay in range up to 2^50 requests.
        let drawn = u128::from(word >> 24);
        drawn * self.of < self.excess << 40 && drawn * 100 < 99 << 40
    }

    fn in_a_thousand(self) -> u64 {
        u64::try_from(self.excess * 1_000 / self.of).unwrap_or(1_000).min(990)
    }
}

impl Refusal {
    pub(crate) fn in_the_name_of(&self, policy: &str) -> Rejection {
        let Self { requests, accepts, window } = *self;
        let window = spoken(window);
        Facts {
            policy: policy.into(),
            kind: Kind::Throttle,
            reason: "throttled",
            // The next attempt may pass, or not.
            retry_after: None,
            detail: format!("{accepts} of {requests} calls were accepted in {window}"),
            limit: None,
        }
        .into()
    }
}

/// The window moves on in so many steps.
const BUCKETS: usize = 120;

/// However bad it looks, one attempt passes in this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

const BILLION: u128 = 1_000_000_000;

/// What the random words are for.
const THROTTLE: u64 = 0x7468_726f << 32;
