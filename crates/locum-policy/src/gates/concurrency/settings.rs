//! What may be said of a cap.

use std::time::Duration;

use crate::Key;
use crate::settings::{Error, Mode, at_least, at_most, within};

/// A cap on the calls in flight.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "ConcurrencySettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// Calls in flight; beside `adaptive`, the most there may ever be, and may be absent. Too small: an
    /// idle service refuses; too large: a busy one drowns.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub max: Option<u32>,
    /// Whether the cap finds itself, by the time that calls take: `true`, or a table.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::switch", skip_serializing_if = "Option::is_none"),
        schemars(schema_with = "crate::serial::switch::schema::<Adaptive>")
    )]
    pub adaptive: Option<Adaptive>,
    /// Calls that may wait for a place; absent: none.
    pub queue: u32,
    /// How long one waits at most; absent: until its deadline.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub queue_timeout: Option<Duration>,
    /// Where a call says how much it matters, from `0`, shed first, to `3`: `header:NAME`. Absent there,
    /// or unreadable: as its route says.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub priority: Option<Key>,
}

/// A cap that finds itself.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "AdaptiveSettings"))]
pub struct Adaptive {
    /// The cap never falls below this. Too small: after an outage it takes long to grow again.
    pub min: u32,
    /// The cap never rises above this, nor above `concurrency.max`.
    pub max: u32,
    /// The cap to begin with, between the two. Too small: refuses after a start until it has grown; too
    /// large: a small service is crowded until it has shrunk.
    pub initial: u32,
    /// How far one round of answers moves the cap towards what it says, from 0 to 1. Large: quick and
    /// restless.
    pub smoothing: f64,
    /// How much longer than without a queue calls may take before the cap falls, at least 1. Large: more
    /// calls in flight and longer waits.
    pub tolerance: f64,
    /// How often it is measured anew what a call takes without a queue, by letting fewer calls in for a
    /// moment. Rare: notices late that a service has become slower or faster by itself.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub probe: Duration,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            min: 4,
            max: 1_000,
            initial: 20,
            smoothing: 0.2,
            tolerance: 1.5,
            probe: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// At most `max` calls in flight, and nobody waits.
    pub fn new(max: u32) -> Self {
        Self { max: Some(max), ..Self::default() }
    }

    /// As many calls in flight as the service takes without delay, and nobody waits.
    pub fn adaptive() -> Self {
        Self { adaptive: Some(Adaptive::default()), ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match (self.max, &self.adaptive) {
            (None, None) => {
                let remedy = "write `max`, or `adaptive = true`";
                return Err(Error::new("concurrency.max", "the cap is missing", remedy));
            }
            (max, adaptive) => {
                if let Some(max) = max {
                    at_least("concurrency.max", max, 1)?;
                    at_most("concurrency.max", max, MOST)?;
                }
                if let Some(adaptive) = adaptive {
                    adaptive.check(self.most())?;
                }
            }
        }
        at_most("concurrency.queue", self.queue, MOST)?;
        let needs_queue = |path, given| match given {
            true if self.queue == 0 => {
                let remedy = "set `queue`, or remove this";
                Err(Error::new(path, "nobody may wait: `queue` is 0", remedy))
            }
            _ => Ok(()),
        };
        needs_queue("concurrency.queue_timeout", self.queue_timeout.is_some())?;
        needs_queue("concurrency.priority", self.priority.is_some())?;
        match &self.priority {
            None | Some(Key::Header(_)) => Ok(()),
            Some(key) => Err(Error::new(
                "concurrency.priority",
                format!("`{key}` says nothing of priorities"),
                "write `header:NAME`",
            )),
        }
    }

    /// The most calls in flight there may ever be.
    pub(super) fn most(&self) -> u32 {
        let most = self.adaptive.as_ref().map_or(MOST, |adaptive| adaptive.max);
        self.max.unwrap_or(MOST).min(most)
    }

    pub(crate) fn same_but_mode(&self, other: &Self) -> bool {
        Self { mode: None, ..self.clone() } == Self { mode: None, ..other.clone() }
    }
}

impl Adaptive {
    fn check(&self, most: u32) -> Result<(), Error> {
        at_least("concurrency.adaptive.min", self.min, 1)?;
        at_most("concurrency.adaptive.max", self.max, MOST)?;
        at_least("concurrency.adaptive.max", self.max, self.min)?;
        at_most("concurrency.adaptive.min", self.min, most)?;
        at_least("concurrency.adaptive.initial", self.initial, 1)?;
        at_most("concurrency.adaptive.initial", self.initial, MOST)?;
        within("concurrency.adaptive.smoothing", self.smoothing, 0.001, 1.0)?;
        within("concurrency.adaptive.tolerance", self.tolerance, 1.0, 10.0)?;
        at_least("concurrency.adaptive.probe", self.probe, Duration::from_millis(100))
    }
}

const MOST: u32 = 1 << 30;
