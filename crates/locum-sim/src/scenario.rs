//! Modelled traffic and servers, as they are written down.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use locum_policy::balance::{Balance, Ejection};
use locum_policy::{Policy, Settings, Time, settings, text};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::service::Service;

/// Traffic, servers, and the policy between them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// How long calls come in; those in flight then run to their end.
    pub duration: Span,
    /// Feeds every random choice; absent: 1.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The policy the calls are tried under; absent: none.
    #[serde(default)]
    pub policy: Option<String>,
    /// Policies, by name.
    #[serde(default)]
    pub policies: BTreeMap<String, Settings>,
    /// How a server is chosen for an attempt; absent: in turn.
    #[serde(default)]
    pub balance: Balance,
    /// The largest share of the servers that are left out while their breakers are open; beyond it all
    /// are used. Absent: half.
    #[serde(default)]
    pub max_ejected: Option<f64>,
    /// When calls come in.
    pub arrivals: Arrivals,
    /// Who serves them.
    pub servers: Vec<Servers>,
}

/// When calls come in. All of them are idempotent, unless the policy says otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arrivals {
    /// An open loop: calls come whatever becomes of earlier ones.
    pub process: Option<Process>,
    /// Of an open loop: calls a second.
    pub rate: Option<f64>,
    /// Of an open loop: other rates from some point on.
    pub steps: Vec<Step>,
    /// Of bursts: how often one comes; absent: every second.
    pub every: Option<Span>,
    /// A closed loop: so many clients, each with one call at a time and the next as soon as that is
    /// over. One that was answered within no time at all comes back a millisecond later.
    pub clients: Option<u32>,
}

/// How calls of an open loop are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Process {
    /// At random, independent of each other.
    Poisson,
    /// Evenly, the first at once.
    Constant,
    /// All that the rate amounts to at once, again and again, the first at once.
    Burst,
}

/// From `at` on, `rate` calls a second.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// From when.
    pub at: Span,
    /// Calls a second.
    pub rate: f64,
}

/// Servers that are alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// How many.
    #[serde(default = "one")]
    pub count: u32,
    /// Calls that one serves at once; the rest queue, first come first served.
    #[serde(default = "one")]
    pub concurrency: u32,
    /// How large a share `weighted` and `hash` give one, beside the others.
    #[serde(default = "one")]
    pub weight: u32,
    /// How long serving takes.
    pub service: Service,
    /// The probability that an attempt fails, after it was served.
    #[serde(default)]
    pub failures: f64,
    /// When they begin nothing.
    #[serde(default)]
    pub stalls: Vec<Stall>,
    /// Whether an attempt that was given up is discarded when its turn comes, instead of served.
    #[serde(default)]
    pub drop_expired: bool,
}

/// From `at` on, for as long as it `lasts`, nothing is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// From when.
    pub at: Span,
    /// For how long.
    pub lasts: Span,
}

const fn one() -> u32 {
    1
}

impl Scenario {
    /// What is out of range, by the path of its key.
    pub fn check(&self) -> Vec<settings::Error> {
        let mut errors = Vec::new();
        let mut wrong = |path: &str, reason: &str, remedy: &str| {
            let (path, reason, remedy) = (path.to_owned(), reason.to_owned(), remedy.to_owned());
            errors.push(settings::Error { path, reason, remedy });
        };
        if self.duration.0.is_zero() {
            wrong("duration", "no call comes in within no time", "write a longer one");
        }
        if let Err(error) = self.ejection() {
            wrong(&error.path, &error.reason, &error.remedy);
        }
        self.arrivals.check(&mut wrong);
        if self.servers.is_empty() {
            wrong("servers", "there is nobody to serve", "add `[[servers]]`");
        }
        let count: u64 = self.servers.iter().map(|servers| u64::from(servers.count)).sum();
        if count > MOST_SERVERS {
            let remedy = "write smaller counts: 100000 servers at most";
            wrong("servers", "there are more servers than can be told apart", remedy);
        }
        for (index, servers) in self.servers.iter().enumerate() {
            servers.check(&format!("servers.{index}"), &mut wrong);
        }
        for (name, settings) in &self.policies {
            if let Err(error) = Policy::build(name, settings, 0, None) {
                wrong(&format!("policies.{name}.{}", error.path), &error.reason, &error.remedy);
            }
        }
        errors
    }

    /// How many servers may be left out.
    pub(crate) fn ejection(&self) -> Result<Ejection, settings::Error> {
        self.max_ejected.map_or_else(|| Ok(Ejection::default()), Ejection::new)
    }
}

/// As many as an id of an endpoint is good for, and more than anyone simulates.
const MOST_SERVERS: u64 = 100_000;

impl Arrivals {
    fn check(&self, wrong: &mut impl FnMut(&str, &str, &str)) {
        match (self.process, self.clients) {
            (None, None) => {
                let remedy = "add `process = \"poisson\"` and `rate`, or `clients`";
                wrong("arrivals", "it does not say when calls come in", remedy);
            }
            (Some(_), Some(_)) => {
                let reason = "clients come when they are answered, not by a process";
                wrong("arrivals.clients", reason, "keep one of `clients` and `process`");
            }
            (Some(_), None) if self.rate.is_none() => {
                wrong("arrivals.rate", "it is missing", "add `rate = …`, calls a second");
            }
            _ => {}
        }
        if self.clients == Some(0) {
            wrong("arrivals.clients", "nobody calls", "write 1 or more");
        }
        if self.clients.is_some() && (self.rate.is_some() || !self.steps.is_empty()) {
            let key = if self.rate.is_some() { "arrivals.rate" } else { "arrivals.steps" };
            wrong(key, "clients come when they are answered, at no rate", "remove it");
        }
        if self.every.is_some() && self.process != Some(Process::Burst) {
            wrong("arrivals.every", "only bursts come every so often", "remove it");
        }
        if self.every.is_some_and(|every| every.0.is_zero()) {
            wrong("arrivals.every", "bursts without time between them never end", "write more");
        }
        let rates = self.steps.iter().enumerate();
        let rates = rates.map(|(index, step)| (format!("arrivals.steps.{index}.rate"), step.rate));
        let rate = self.rate.map(|rate| ("arrivals.rate".to_owned(), rate));
        for (path, rate) in rate.into_iter().chain(rates) {
            if !(0.0..=MOST_CALLS).contains(&rate) {
                let remedy = "write a number of calls a second, from 0 to 1e9";
                wrong(&path, &format!("{rate} is not a rate"), remedy);
            }
        }
        if !self.steps.is_sorted_by(|first, second| first.at.0 < second.at.0) {
            wrong("arrivals.steps", "they are not in the order of `at`", "put them in order");
        }
    }
}

/// One a nanosecond.
const MOST_CALLS: f64 = 1e9;

impl Servers {
    fn check(&self, path: &str, wrong: &mut impl FnMut(&str, &str, &str)) {
        for (key, number) in
            [("count", self.count), ("concurrency", self.concurrency), ("weight", self.weight)]
        {
            if number == 0 {
                wrong(&format!("{path}.{key}"), "0 would serve nothing", "write 1 or more");
            }
        }
        if !(0.0..=1.0).contains(&self.failures) {
            let reason = format!("{} is not a probability", self.failures);
            wrong(&format!("{path}.failures"), &reason, "write a number from 0 to 1");
        }
        if let Err((key, reason, remedy)) = self.service.law() {
            let key = if key.is_empty() { String::new() } else { format!(".{key}") };
            wrong(&format!("{path}.service{key}"), &reason, &remedy);
        }
    }
}

impl Stall {
    pub(crate) fn from(&self) -> Time {
        Time::ZERO + self.at.0
    }

    pub(crate) fn until(&self) -> Time {
        self.from() + self.lasts.0
    }
}

/// A stretch of time, as it is written: `"250ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"250ms\" or \"10s\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text::parse_duration(text).map(Span).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}
