//! Which endpoint the next attempt takes.
//!
//! A [`Balancer`] knows endpoints as numbers; what it asks of them it asks through [`Endpoints`]. It
//! holds no lock, allocates nothing for a choice, and draws no random number of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::Time;
use crate::call::Key;
use crate::seed::{mix, up_to};
use crate::text::{Malformed, not_a_word};

/// A way to spread attempts over endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other, each as often.
    #[default]
    RoundRobin,
    /// One after the other, each as often as its weight says, evenly interleaved.
    Weighted,
    /// Any, each as likely as its weight says.
    Random,
    /// The less busy of two picked at random, by calls in flight and weight.
    LeastRequest,
    /// The one of two picked at random that promises the shorter wait: peaks of its latency, decaying,
    /// times the calls in flight.
    PeakEwma,
    /// Calls of one key to one endpoint, as long as it is usable.
    Hash(Key),
    /// Calls of one client to the endpoint that its cookie names.
    Sticky(Box<str>),
}

impl FromStr for Balance {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let known = [
            "round-robin",
            "weighted",
            "random",
            "least-request",
            "peak-ewma",
            "hash:client-ip",
            "hash:header:NAME",
            "sticky:COOKIE",
        ];
        match text {
            "round-robin" => Ok(Self::RoundRobin),
            "weighted" => Ok(Self::Weighted),
            "random" => Ok(Self::Random),
            "least-request" => Ok(Self::LeastRequest),
            "peak-ewma" => Ok(Self::PeakEwma),
            _ => match (text.strip_prefix("hash:"), text.strip_prefix("sticky:")) {
                (Some(key), _) => key.parse().map(Self::Hash),
                (_, Some(cookie)) if !cookie.is_empty() => Ok(Self::Sticky(cookie.into())),
                _ => Err(not_a_word(text, &known)),
            },
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRobin => f.write_str("round-robin"),
            Self::Weighted => f.write_str("weighted"),
            Self::Random => f.write_str("random"),
            Self::LeastRequest => f.write_str("least-request"),
            Self::PeakEwma => f.write_str("peak-ewma"),
            Self::Hash(key) => write!(f, "hash:{key}"),
            Self::Sticky(cookie) => write!(f, "sticky:{cookie}"),
        }
    }
}

/// What a balancer asks of endpoints.
pub trait Endpoints {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Attempts in flight at one.
    fn in_flight(&self, endpoint: u32) -> u32;

    /// Whether one may be chosen.
    fn usable(&self, endpoint: u32) -> bool;
}

/// What a choice is made for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Endpoints to avoid while others are usable.
    pub tried: &'a [u32],
    /// What tells the caller apart, for `hash` and `sticky`; without one the choice is random.
    pub key: Option<&'a [u8]>,
    /// A random word.
    pub random: u64,
    /// The present.
    pub now: Time,
}

/// A balance made ready for some endpoints.
#[derive(Debug)]
pub struct Balancer {
    balance: Balance,
    /// Endpoints in the order of one round.
    round: Box<[u32]>,
    next: AtomicUsize,
    known: Box<[Known]>,
}

/// What is known of one endpoint.
#[derive(Debug)]
struct Known {
    weight: u32,
    /// A hash of its name: the choice by key must not depend on what other endpoints there are.
    name: u64,
    /// Peak latency in nanoseconds, a float's bits, as of `seen`; 0 is not known yet.
    latency: AtomicU64,
    seen: AtomicU64,
}

/// How fast a latency is forgotten.
const DECAY: Duration = Duration::from_secs(10);
/// What a failing answer counts as, at least: or else who fails fast attracts all calls.
const PENALTY: Duration = Duration::from_secs(5);

impl Balancer {
    /// A balance over endpoints of these names and weights.
    pub fn new<N: AsRef<str>>(balance: &Balance, names: &[N], weights: &[u32]) -> Self {
        let known = names.iter().zip(weights).map(|(name, weight)| Known {
            weight: *weight,
            name: hash(name.as_ref().as_bytes(), 0),
            latency: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        });
        Self {
            balance: balance.clone(),
            round: match balance {
                Balance::Weighted => interleave(weights),
                _ => (0..).take(weights.len()).collect(),
            },
            next: AtomicUsize::new(0),
            known: known.collect(),
        }
    }

    /// The endpoint for an attempt: a usable one, if it can be one that was not tried. `None`: none is
    /// usable.
    pub fn pick(&self, endpoints: &impl Endpoints, ask: &Ask<'_>) -> Option<u32> {
        match &self.balance {
            Balance::RoundRobin | Balance::Weighted => self.next_in_round(endpoints, ask),
            Balance::LeastRequest => self.better_of_two(endpoints, ask, |endpoint| {
                f64::from(endpoints.in_flight(endpoint) + 1) / f64::from(self.weight(endpoint))
            }),
            Balance::PeakEwma => self.better_of_two(endpoints, ask, |endpoint| {
                self.wait_at(endpoint, endpoints.in_flight(endpoint), ask.now)
            }),
            Balance::Hash(_) | Balance::Sticky(_) if ask.key.is_some() => {
                self.by_key(endpoints, ask)
            }
            Balance::Random | Balance::Hash(_) | Balance::Sticky(_) => {
                self.by_weight(endpoints, ask)
            }
        }
    }

    /// An attempt at `endpoint` took so long, and failed or did not.
    pub fn observe(&self, endpoint: u32, took: Duration, failed: bool, now: Time) {
        let Some(known) = self.known.get(endpoint as usize) else { return };
        let took = if failed { took.max(PENALTY) } else { took };
        let took = (took.as_nanos() as f64).max(1.0);
        let before = f64::from_bits(known.latency.load(Ordering::Relaxed));
        // Up at once, down slowly.
        let after = if took > before {
            took
        } else {
            let kept = kept(known.seen.load(Ordering::Relaxed), now);
            before * kept + took * (1.0 - kept)
        };
        known.latency.store(after.to_bits(), Ordering::Relaxed);
        known.seen.store(now.as_nanos(), Ordering::Relaxed);
    }

    fn next_in_round(&self, endpoints: &impl Endpoints, ask: &Ask<'_>) -> Option<u32> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let place = |step: usize| self.round[at.wrapping_add(step) % self.round.len()];
        let usable = || (0..self.round.len()).map(place).filter(|id| endpoints.usable(*id));
        usable().find(|id| !ask.tried.contains(id)).or_else(|| usable().next())
    }

    /// The power of two choices: near the best of all, for two looks (Mitzenmacher 2001).
    fn better_of_two(
        &self,
        endpoints: &impl Endpoints,
        ask: &Ask<'_>,
        cost: impl Fn(u32) -> f64,
    ) -> Option<u32> {
        let count = self.known.len() as u64;
        if count > 1 {
            let first = up_to(mix(ask.random, 0), count - 1);
            let other = up_to(mix(ask.random, 1), count - 2);
            let second = if other >= first { other + 1 } else { other };
            let [first, second] = [first, second].map(|id| u32::try_from(id).unwrap_or(u32::MAX));
            let fit = |id: &u32| endpoints.usable(*id) && !ask.tried.contains(id);
            match (fit(&first), fit(&second)) {
                (true, true) if cost(second) < cost(first) => return Some(second),
                (true, _) => return Some(first),
                (false, true) => return Some(second),
                (false, false) => {}
            }
        }
        best(self.eligible(endpoints, ask), cost)
    }

    fn by_weight(&self, endpoints: &impl Endpoints, ask: &Ask<'_>) -> Option<u32> {
        let total: u64 = self.eligible(endpoints, ask).map(|id| u64::from(self.weight(id))).sum();
        let mut ticket = up_to(ask.random, total.checked_sub(1)?);
        self.eligible(endpoints, ask).find(|id| {
            let weight = u64::from(self.weight(*id));
            let found = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            found
        })
    }

    /// Rendezvous hashing (Thaler and Ravishankar 1998), by weight: of all endpoints that one wins
    /// whose name draws the best lot with the key. When one goes, only its keys move.
    fn by_key(&self, endpoints: &impl Endpoints, ask: &Ask<'_>) -> Option<u32> {
        let key = ask.key.unwrap_or_default();
        best(self.eligible(endpoints, ask), |id| {
            let known = &self.known[id as usize];
            let lot = (hash(key, known.name) >> 11) as f64 / (1_u64 << 53) as f64;
            -(lot.max(f64::MIN_POSITIVE)).ln() / f64::from(known.weight.max(1))
        })
    }

    /// The usable endpoints that were not tried; if there are none, all that are usable.
    fn eligible<'a>(
        &'a self,
        endpoints: &'a impl Endpoints,
        ask: &'a Ask<'_>,
    ) -> impl Iterator<Item = u32> + 'a {
        let ids = || (0_u32..).take(self.known.len()).filter(|id| endpoints.usable(*id));
        let any_untried = ids().any(|id| !ask.tried.contains(&id));
        ids().filter(move |id| !any_untried || !ask.tried.contains(id))
    }

    /// What a call more would wait for at `endpoint`. One that nothing is known of is tried, but by
    /// one call at first.
    fn wait_at(&self, endpoint: u32, in_flight: u32, now: Time) -> f64 {
        let known = &self.known[endpoint as usize];
        let latency = f64::from_bits(known.latency.load(Ordering::Relaxed));
        let latency = latency * kept(known.seen.load(Ordering::Relaxed), now);
        if latency == 0.0 && in_flight > 0 {
            return PENALTY.as_nanos() as f64 * f64::from(in_flight);
        }
        latency * f64::from(in_flight + 1)
    }

    fn weight(&self, endpoint: u32) -> u32 {
        self.known[endpoint as usize].weight.max(1)
    }
}

/// Which share of a latency seen then still counts now.
fn kept(seen: u64, now: Time) -> f64 {
    let age = now.as_nanos().saturating_sub(seen) as f64;
    (-age / DECAY.as_nanos() as f64).exp()
}

fn best(ids: impl Iterator<Item = u32>, cost: impl Fn(u32) -> f64) -> Option<u32> {
    ids.map(|id| (id, cost(id))).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(id, _)| id)
}

/// FNV-1a, well mixed; not against an adversary, who gains nothing but to be served elsewhere.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold), seed)
}

/// One round in which each index comes as often as its weight says, spread out evenly: each step
/// takes the index that is furthest behind its share (nginx's smooth weighted round-robin).
fn interleave(weights: &[u32]) -> Box<[u32]> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let mut step = || {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let (at, _) =
            (0_u32..).zip(&credit).max_by_key(|(index, credit)| (**credit, u32::MAX - index))?;
        credit[at as usize] -= total;
        Some(at)
    };
    (0..total).filter_map(|_| step()).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
