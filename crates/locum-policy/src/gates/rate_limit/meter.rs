//! One limit: its settings, its algorithm, and its bucket or buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::rejection::LimitState;
use crate::seed::mix;
use crate::settings::Error;
use crate::{Call, Key, Time};

use super::algorithm::{Algorithm as Steps, Ask, Hit, Level, Refusal};
use super::bucket::Bucket;
use super::gcra::Gcra;
use super::log::Log;
use super::store::{Store, lock};
use super::warm_up::WarmUp;
use super::window::Window;
use super::word::Word;
use super::{Algorithm, Settings, Snapshot, sip};

pub(super) struct Meter {
    settings: Settings,
    kind: Kind,
    /// The latest time seen; threads may be handed slightly older ones.
    last: AtomicU64,
    hash: (u64, u64),
}

enum Kind {
    Word(Bucket, Word),
    Bucket(Bucket, Store<Bucket>),
    Window(Window, Store<Window>),
    Log(Log, Store<Log>),
    WarmUp(WarmUp, Store<WarmUp>),
}

/// A limit's refusal.
#[derive(Clone, Copy)]
pub(super) struct Refused<'a> {
    pub(super) settings: &'a Settings,
    pub(super) refusal: Refusal,
    pub(super) state: LimitState,
}

impl Meter {
    /// `alone`: no other limit will be asked together with this one, so it needs no lock.
    pub(super) fn new(settings: &Settings, seed: u64, alone: bool) -> Result<Self, Error> {
        settings.check()?;
        let hash = (mix(seed, HASH), mix(seed, HASH + 1));
        let kind = Kind::new(settings, alone);
        Ok(Self { settings: settings.clone(), kind, last: AtomicU64::new(0), hash })
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the bucket cannot be locked.
    pub(super) const fn is_word(&self) -> bool {
        matches!(self.kind, Kind::Word(..))
    }

    /// Decides, lets `then` see the decision, and takes what the call costs if both agree. The bucket
    /// is locked meanwhile; one that cannot be decides, and asks `then`, again if others were quicker.
    #[inline]
    pub(super) fn take<'a, T, E>(
        &'a self,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
        mut then: impl FnMut(Result<Hit, Refused<'a>>) -> Result<T, E>,
    ) -> Result<T, E> {
        let units = call.cost.saturating_mul(self.settings.cost);
        let ask = Ask { now: self.latest(now), units, deadline };
        let key = || self.key(call);
        match &self.kind {
            Kind::Word(bucket, word) => word.update(|tat| self.step(bucket, tat, &ask, &mut then)),
            Kind::Bucket(bucket, store) => store
                .update(bucket, key, ask.now, |state| self.step(bucket, state, &ask, &mut then)),
            Kind::Window(window, store) => store
                .update(window, key, ask.now, |state| self.step(window, state, &ask, &mut then)),
            Kind::Log(log, store) => {
                store.update(log, key, ask.now, |state| self.step(log, state, &ask, &mut then))
            }
            Kind::WarmUp(warm_up, store) => store
                .update(warm_up, key, ask.now, |state| self.step(warm_up, state, &ask, &mut then)),
        }
    }

    /// How the limit stands at `level`.
    pub(super) fn state(&self, level: Level) -> LimitState {
        match &self.kind {
            Kind::Word(bucket, _) | Kind::Bucket(bucket, _) => self.state_of(bucket, level),
            Kind::Window(window, _) => self.state_of(window, level),
            Kind::Log(log, _) => self.state_of(log, level),
            Kind::WarmUp(warm_up, _) => self.state_of(warm_up, level),
        }
    }

    pub(super) fn snapshot(&self, now: Time) -> Snapshot {
        let now = self.latest(now);
        let (state, keys) = match &self.kind {
            Kind::Word(bucket, word) => (self.state_of(bucket, bucket.level(&word.load(), now)), 0),
            Kind::Bucket(bucket, store) => self.look(bucket, store, now),
            Kind::Window(window, store) => self.look(window, store, now),
            Kind::Log(log, store) => self.look(log, store, now),
            Kind::WarmUp(warm_up, store) => self.look(warm_up, store, now),
        };
        Snapshot { settings: self.settings.clone(), state, keys }
    }

    #[inline(always)]
    fn step<'a, A: Steps, T, E>(
        &'a self,
        algorithm: &A,
        state: &mut A::State,
        ask: &Ask,
        then: &mut impl FnMut(Result<Hit, Refused<'a>>) -> Result<T, E>,
    ) -> Result<T, E> {
        algorithm.advance(state, ask.now);
        if ask.units == 0 {
            return then(Ok(Hit { level: algorithm.level(state, ask.now), wait: Duration::ZERO }));
        }
        match algorithm.decide(state, ask) {
            Ok(hit) => {
                let done = then(Ok(hit))?;
                algorithm.take(state, ask);
                Ok(done)
            }
            Err(refusal) => {
                let state = self.state_of(algorithm, algorithm.level(state, ask.now));
                then(Err(Refused { settings: &self.settings, refusal, state }))
            }
        }
    }

    fn look<A: Steps>(&self, algorithm: &A, store: &Store<A>, now: Time) -> (LimitState, usize) {
        let level = {
            let mut state = lock(store.shared());
            algorithm.advance(&mut state, now);
            algorithm.level(&state, now)
        };
        (self.state_of(algorithm, level), store.keys())
    }

    fn state_of(&self, algorithm: &impl Steps, level: Level) -> LimitState {
        let (remaining, reset) = algorithm.standing(level);
        let rate = self.settings.rate;
        LimitState { quota: rate.count.get(), window: rate.period(), remaining, reset }
    }

    /// `now`, or the latest time seen if that is later: a clock that jumps back changes nothing.
    #[inline]
    fn latest(&self, now: Time) -> Time {
        let last = self.last.load(Ordering::Relaxed);
        let nanos = now.as_nanos();
        if nanos > last {
            self.last.store(nanos, Ordering::Relaxed);
        }
        Time::from_nanos(nanos.max(last))
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

impl Kind {
    fn new(settings: &Settings, alone: bool) -> Self {
        let Settings { rate, max_wait, .. } = *settings;
        let gcra = Gcra::new(rate, settings.burst());
        let max_keys = settings.max_keys();
        let bucket = |bucket: Bucket| match alone && max_keys.is_none() && bucket.is_narrow() {
            true => Self::Word(bucket, Word::default()),
            false => {
                let store = Store::new(&bucket, max_keys);
                Self::Bucket(bucket, store)
            }
        };
        match settings.algorithm {
            Algorithm::TokenBucket => bucket(Bucket::token(gcra)),
            Algorithm::LeakyBucket => {
                bucket(Bucket::leaky(gcra, settings.free.unwrap_or(1), max_wait))
            }
            Algorithm::SlidingWindow => {
                let window = Window::new(rate);
                let store = Store::new(&window, max_keys);
                Self::Window(window, store)
            }
            Algorithm::SlidingLog => {
                let log = Log::new(rate);
                let store = Store::new(&log, max_keys);
                Self::Log(log, store)
            }
            Algorithm::WarmUp => {
                let warm_up = settings.warm_up.unwrap_or_default();
                let warm_up = WarmUp::new(gcra, warm_up, settings.cold_factor(), max_wait);
                let store = Store::new(&warm_up, max_keys);
                Self::WarmUp(warm_up, store)
            }
        }
    }
}

/// What the words for hashing keys are for.
const HASH: u64 = 0x6861_7368;
