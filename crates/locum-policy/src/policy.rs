//! A policy: settings that have become gates.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use crate::settings::{Error, Method, Mode, Settings};

use crate::gates::breaker::{self, Breaker, Breakers, Numbers, Override, Per, Watch};
use crate::gates::concurrency::Places;
use crate::gates::deadline::Terms;
use crate::gates::fallback;
use crate::gates::fault::Fault;
use crate::gates::hedge::{self, Hedge, Latency};
use crate::gates::rate_limit::{self, Kept, Limits};
use crate::gates::retry::{self, Budget, Retry};
use crate::gates::throttle::{self, Throttle, Throttles};
use crate::outcome::Rules;
use crate::seed::mix;
use crate::{Observer, Time};

/// The gates of one policy, shared by all who use it.
#[derive(Clone)]
pub struct Policy(Arc<Parts>);

/// Invariant: the parts are in range, and no part is in mode off.
pub(crate) struct Parts {
    pub(crate) name: Box<str>,
    settings: Settings,
    version: u64,
    timing: Timing,
    methods: HashMap<Box<str>, Timing>,
    pub(crate) limits: Limits,
    pub(crate) shadow_limits: Limits,
    pub(crate) places: Option<Part<Places>>,
    pub(crate) retry: Option<Part<Retry>>,
    pub(crate) hedge: Option<Part<Hedge>>,
    pub(crate) throttles: Option<Part<Throttles>>,
    pub(crate) fuses: Option<Fuses>,
    pub(crate) fallback: Option<Part<fallback::Settings>>,
    pub(crate) fault: Option<Part<Fault>>,
}

impl Parts {
    /// What bounds retries and hedges together.
    fn budget(&self) -> Option<&Budget> {
        let of_hedges = || self.hedge.as_ref().map(|hedge| hedge.gate.budget());
        self.retry.as_ref().map(|retry| retry.gate.budget()).or_else(of_hedges)
    }

    /// Whether anything decides before the attempts.
    #[inline]
    pub(crate) fn has_entry(&self) -> bool {
        !self.limits.is_empty() || !self.shadow_limits.is_empty() || self.places.is_some()
    }
}

/// A gate and how far it goes.
pub(crate) struct Part<T> {
    pub(crate) shadow: bool,
    pub(crate) gate: Arc<T>,
}

/// The breakers of a policy and what it says of them.
pub(crate) struct Fuses {
    pub(crate) shadow: bool,
    pub(crate) per: Per,
    pub(crate) rules: Rules,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) table: Arc<Breakers>,
}

/// What is said of time, for one method.
pub(crate) struct Timing {
    pub(crate) terms: Terms,
    /// What would be said if it were enforced.
    pub(crate) shadow: Option<Terms>,
}

impl Policy {
    /// Makes gates of `settings`. With `previous`, an earlier version of the same policy, parts whose
    /// settings did not change keep their state, and breakers keep it whatever their numbers.
    /// Nothing of `previous` changes: the new version may be thrown away.
    ///
    /// # Errors
    ///
    /// The first setting that is out of range.
    pub fn build(
        name: &str,
        settings: &Settings,
        seed: u64,
        previous: Option<&Self>,
    ) -> Result<Self, Error> {
        let previous = previous.map(|previous| &*previous.0);
        let version = previous.map_or(1, |previous| previous.version + 1);
        let limits = |wanted: Mode| -> Vec<_> {
            let mode = |limit: &rate_limit::Settings| limit.mode.unwrap_or(settings.mode);
            settings.rate_limit.iter().filter(|limit| mode(limit) == wanted).collect()
        };
        let (enforced, watched) = (limits(Mode::Enforce), limits(Mode::Shadow));
        let alone = enforced.len() + watched.len() == 1;
        let old: Vec<_> =
            previous.iter().flat_map(|old| [&old.limits, &old.shadow_limits]).collect();
        let mut kept = Kept::of(&old);
        let mut limits =
            |settings: &[_]| Limits::build(settings, mix(seed, LIMITS), alone, &mut kept);
        let methods = settings.methods.iter().map(|(method, differs)| {
            let timing = Timing::of(settings, differs);
            timing
                .map(|timing| (method.as_str().into(), timing))
                .map_err(|error| error.under(&format!("methods.\"{method}\"")))
        });
        Ok(Self(Arc::new(Parts {
            name: name.into(),
            settings: settings.clone(),
            version,
            timing: Timing::of(settings, &Method::default())?,
            methods: methods.collect::<Result<_, _>>()?,
            limits: limits(&enforced)?,
            shadow_limits: limits(&watched)?,
            places: places(settings, previous)?,
            retry: retry(settings, previous)?,
            throttles: throttles(settings, previous)?,
            fuses: fuses(settings, seed, version, previous)?,
            hedge: hedge(settings, previous)?,
            fallback: fallback(settings)?,
            fault: fault(settings)?,
        })))
    }

    /// A policy that does nothing but pass a caller's deadline on.
    pub fn open() -> Self {
        Self::build("open", &Settings::default(), 0, None).expect("the defaults are in range")
    }

    /// The name it was built with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it was built from.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Resolves once what the policy keeps for each upstream. Cheap to clone; best bound once for each
    /// worker, so that their counts of it do not share a cache line.
    pub fn bind(&self, upstream: &str) -> Bound {
        let breaker = self.0.fuses.as_ref().filter(|fuses| fuses.per == Per::Upstream);
        let breaker = breaker.map(|fuses| fuses.table.get(upstream, &fuses.numbers, Time::ZERO));
        let throttle = self.0.throttles.as_ref().map(|throttles| throttles.gate.get(upstream));
        let latency = self.0.hedge.as_ref().and_then(|hedge| hedge.gate.latency(upstream));
        Bound(Some(Arc::new(Binding { policy: self.clone(), breaker, latency, throttle })))
    }

    /// The breaker that decides whether attempts may go to `endpoint`, where the policy has one for
    /// each of `pers`. `None`: it has none, or it is in shadow and ejects nothing.
    pub fn watch(&self, endpoint: &str, pers: &[Per]) -> Option<Watch> {
        let fuses = self.0.fuses.as_ref().filter(|fuses| !fuses.shadow)?;
        let breaker = || fuses.table.get(endpoint, &fuses.numbers, Time::ZERO);
        pers.contains(&fuses.per).then(|| Watch::new(breaker()))
    }

    /// How its parts stand.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        let parts = &*self.0;
        let limits = parts.limits.snapshot(now).chain(parts.shadow_limits.snapshot(now));
        Snapshot {
            policy: parts.name.clone(),
            breakers: self.breakers().iter().map(|breaker| breaker.snapshot(now)).collect(),
            limits: limits.collect(),
            retry_balance: parts.budget().map(|budget| budget.balance(now)),
            hedges: parts.hedge.as_ref().map_or_else(Vec::new, |hedge| hedge.gate.snapshot(now)),
            throttles: parts
                .throttles
                .as_ref()
                .map(|throttles| throttles.gate.snapshot(now))
                .unwrap_or_default(),
            concurrency: parts.places.as_ref().map(|places| {
                let (in_flight, waiting) = places.gate.load();
                Concurrency { in_flight, waiting, limit: places.gate.limit() }
            }),
        }
    }

    /// Throws the switch of the breaker of `target`, or of all breakers, until `expiry`; `None` takes
    /// it back. It holds for breakers that are yet to be made as well, so it may be thrown before the
    /// first call. Tells whether it could be: not without a breaker, and not for a target that shares
    /// one with others because there are too many.
    pub fn force(
        &self,
        target: Option<&str>,
        forced: Option<Override>,
        expiry: Time,
        now: Time,
    ) -> bool {
        let fuses = self.0.fuses.as_ref();
        fuses.is_some_and(|fuses| fuses.table.force(target, forced, expiry, &fuses.numbers, now))
    }

    /// Does what time alone brings about in breakers: lost probes, the end of a ramp. A breaker that is
    /// called finds this out by itself; a clock that ticks finds it out on time.
    pub fn tick(&self, now: Time, observer: &impl Observer) {
        let Some(fuses) = &self.0.fuses else { return };
        fuses.table.expire(now);
        for breaker in self.breakers() {
            let mut changes = Vec::new();
            breaker.tick(now, &mut changes);
            breaker::tell(&changes, self.name(), fuses.per, &breaker, observer);
        }
    }

    /// When [`tick`](Self::tick) next has something to do.
    pub fn due(&self) -> Option<Time> {
        self.breakers().iter().filter_map(|breaker| breaker.due()).min()
    }

    fn breakers(&self) -> Vec<Arc<Breaker>> {
        self.0.fuses.as_ref().map(|fuses| fuses.table.all()).unwrap_or_default()
    }
}

/// A policy around the calls to one upstream (or one endpoint).
#[derive(Clone, Default)]
pub struct Bound(Option<Arc<Binding>>);

struct Binding {
    policy: Policy,
    /// Of `per = "upstream"`.
    breaker: Option<Arc<Breaker>>,
    /// How long attempts at the upstream take, if hedges ask for it.
    latency: Option<Arc<Latency>>,
    throttle: Option<Arc<Throttle>>,
}

impl Bound {
    /// No policy at all: only a caller's deadline is kept.
    pub const fn open() -> Self {
        Self(None)
    }

    /// The policy's name; empty where there is none.
    pub fn name(&self) -> &str {
        self.parts().map_or("", |parts| &parts.name)
    }

    /// The policy.
    pub fn policy(&self) -> Option<&Policy> {
        self.0.as_deref().map(|binding| &binding.policy)
    }

    /// Bodies up to this size are worth keeping, to be sent again; 0 if nothing is sent twice.
    pub fn replay_bytes(&self) -> u64 {
        let Some(parts) = self.parts() else { return 0 };
        let retry = parts.retry.as_ref().filter(|retry| !retry.shadow);
        let retry = retry.map(|retry| retry.gate.settings());
        let hedges = parts.hedge.as_ref().is_some_and(|hedge| !hedge.shadow);
        match retry {
            Some(retry) if hedges || retry.attempts > 1 => retry.replay_bytes,
            None if hedges => retry::REPLAY_BYTES,
            _ => 0,
        }
    }

    /// What a caller is given where [`Answer::fallback`](crate::Answer::fallback) says so. `None`: there
    /// is no fallback, or it is in shadow.
    pub fn fallback(&self) -> Option<&fallback::Settings> {
        let part = self.parts()?.fallback.as_ref().filter(|part| !part.shadow)?;
        Some(&part.gate)
    }

    #[inline]
    pub(crate) fn parts(&self) -> Option<&Parts> {
        self.0.as_deref().map(|binding| &*binding.policy.0)
    }

    /// What has a breaker of its own, if anything has.
    #[inline]
    pub(crate) fn per(&self) -> Option<Per> {
        self.parts().and_then(|parts| parts.fuses.as_ref()).map(|fuses| fuses.per)
    }

    #[inline]
    pub(crate) fn breaker(&self) -> Option<&Breaker> {
        self.0.as_deref().and_then(|binding| binding.breaker.as_deref())
    }

    pub(crate) fn latency(&self) -> Option<&Latency> {
        self.0.as_deref().and_then(|binding| binding.latency.as_deref())
    }

    #[inline]
    pub(crate) fn throttle(&self) -> Option<&Throttle> {
        self.0.as_deref().and_then(|binding| binding.throttle.as_deref())
    }

    #[inline]
    pub(crate) const fn is_open(&self) -> bool {
        self.0.is_none()
    }

    #[inline(always)]
    pub(crate) fn timing(&self, method: &str) -> &Timing {
        let Some(parts) = self.parts() else { return &Timing::OPEN };
        if parts.methods.is_empty() {
            return &parts.timing;
        }
        parts.methods.get(method).unwrap_or(&parts.timing)
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bound").field(&self.name()).finish()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name())
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

impl Timing {
    const OPEN: Self = Self { terms: Terms::OPEN, shadow: None };

    fn of(settings: &Settings, method: &Method) -> Result<Self, Error> {
        let said = Terms::of(settings, method)?;
        let open = Terms::without_limits(&said);
        Ok(match settings.mode {
            Mode::Enforce => Self { terms: said, shadow: None },
            Mode::Shadow => Self { terms: open, shadow: Some(said) },
            Mode::Off => Self { terms: open, shadow: None },
        })
    }
}

fn places(settings: &Settings, previous: Option<&Parts>) -> Result<Option<Part<Places>>, Error> {
    let Some(wanted) = &settings.concurrency else { return Ok(None) };
    let Some(shadow) = in_shadow(wanted.mode, settings) else { return Ok(None) };
    let kept = previous.and_then(|previous| previous.places.as_ref());
    let gate = match kept.filter(|kept| kept.gate.settings().same_but_mode(wanted)) {
        Some(kept) => Arc::clone(&kept.gate),
        None => Arc::new(Places::build(wanted)?),
    };
    Ok(Some(Part { shadow, gate }))
}

fn throttles(
    settings: &Settings,
    previous: Option<&Parts>,
) -> Result<Option<Part<Throttles>>, Error> {
    let Some(wanted) = &settings.throttle else { return Ok(None) };
    let Some(shadow) = in_shadow(wanted.mode, settings) else { return Ok(None) };
    let kept = previous.and_then(|previous| previous.throttles.as_ref());
    let gate = match kept.filter(|kept| kept.gate.settings().same_but_mode(wanted)) {
        Some(kept) => Arc::clone(&kept.gate),
        None => Arc::new(Throttles::build(wanted)?),
    };
    Ok(Some(Part { shadow, gate }))
}

fn retry(settings: &Settings, previous: Option<&Parts>) -> Result<Option<Part<Retry>>, Error> {
    let Some(wanted) = &settings.retry else { return Ok(None) };
    let Some(shadow) = in_shadow(wanted.mode, settings) else { return Ok(None) };
    let kept = previous.and_then(|previous| previous.retry.as_ref());
    let gate = match kept.filter(|kept| kept.gate.settings().same_but_mode(wanted)) {
        Some(kept) => Arc::clone(&kept.gate),
        None => Arc::new(Retry::build(wanted)?),
    };
    Ok(Some(Part { shadow, gate }))
}

fn hedge(settings: &Settings, previous: Option<&Parts>) -> Result<Option<Part<Hedge>>, Error> {
    let Some(wanted) = &settings.hedge else { return Ok(None) };
    let Some(shadow) = in_shadow(wanted.mode, settings) else { return Ok(None) };
    let kept = previous.and_then(|previous| previous.hedge.as_ref()).map(|kept| &*kept.gate);
    Ok(Some(Part { shadow, gate: Arc::new(Hedge::build(wanted, kept)?) }))
}

fn fallback(settings: &Settings) -> Result<Option<Part<fallback::Settings>>, Error> {
    let Some(wanted) = &settings.fallback else { return Ok(None) };
    let Some(shadow) = in_shadow(wanted.mode, settings) else { return Ok(None) };
    wanted.check()?;
    Ok(Some(Part { shadow, gate: Arc::new(wanted.clone()) }))
}

fn fault(settings: &Settings) -> Result<Option<Part<Fault>>, Error> {
    let Some(wanted) = &settings.fault else { return Ok(None) };
    let Some(shadow) = in_shadow(wanted.mode, settings) else { return Ok(None) };
    Ok(Some(Part { shadow, gate: Arc::new(Fault::build(wanted)?) }))
}

fn fuses(
    settings: &Settings,
    seed: u64,
    version: u64,
    previous: Option<&Parts>,
) -> Result<Option<Fuses>, Error> {
    let Some(wanted) = &settings.breaker else { return Ok(None) };
    let Some(shadow) = in_shadow(wanted.mode, settings) else { return Ok(None) };
    let numbers = Arc::new(wanted.numbers(version)?);
    let kept =
        previous.and_then(|previous| previous.fuses.as_ref()).filter(|kept| kept.per == wanted.per);
    let table = kept.map_or_else(
        || Arc::new(Breakers::new(mix(seed, BREAKERS))),
        |kept| Arc::clone(&kept.table),
    );
    let rules =
        Rules { count_overload: wanted.count_overload, count_app_errors: wanted.count_app_errors };
    Ok(Some(Fuses { shadow, per: wanted.per, rules, numbers, table }))
}

/// Whether a part is in shadow; `None`: it is off.
fn in_shadow(mode: Option<Mode>, settings: &Settings) -> Option<bool> {
    match mode.unwrap_or(settings.mode) {
        Mode::Enforce => Some(false),
        Mode::Shadow => Some(true),
        Mode::Off => None,
    }
}

/// How a policy stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its name.
    pub policy: Box<str>,
    /// Its breakers, by target.
    pub breakers: Vec<breaker::Snapshot>,
    /// Its rate limits.
    pub limits: Vec<rate_limit::Snapshot>,
    /// How many more retries and hedges there may be now.
    pub retry_balance: Option<u64>,
    /// When attempts are hedged, by upstream, where that depends on how long they take.
    pub hedges: Vec<hedge::Snapshot>,
    /// The cap on calls in flight.
    pub concurrency: Option<Concurrency>,
    /// Its throttles, by target.
    pub throttles: Vec<throttle::Snapshot>,
}

/// How a cap on calls in flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Calls in flight.
    pub in_flight: u32,
    /// Calls that wait for a place.
    pub waiting: u32,
    /// The cap.
    pub limit: u32,
}

/// What the seeds of the parts are for.
const LIMITS: u64 = 1;
const BREAKERS: u64 = 2;
