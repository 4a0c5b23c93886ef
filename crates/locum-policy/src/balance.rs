#![doc = include_str!("../docs/balance.md")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::call::Key;
use crate::seed::mix;
use crate::{Cause, Time};

use self::draw::{Liking, Rank};
pub use self::ejection::Ejection;
use self::ewma::PeakEwma;
use self::rendezvous::Contest;
pub use self::rendezvous::hash as hash_of_key;
pub use self::slow_start::SlowStart;

mod draw;
mod ejection;
mod ewma;
mod pick;
mod rendezvous;
mod round;
mod slow_start;
mod text;
pub mod zones;

/// A way to spread attempts over the endpoints of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other, each as often.
    #[default]
    RoundRobin,
    /// One after the other, each as often as its weight says, evenly interleaved.
    Weighted,
    /// Any, each as likely as its weight says.
    Random,
    /// The less busy of two picked at random, by attempts in flight and weight.
    LeastRequest,
    /// The one of two picked at random that promises the shorter wait, by the time its answers took,
    /// attempts in flight and weight.
    PeakEwma,
    /// Always the same for the same value of this key (`client-ip` or `header:NAME`).
    Hash(Key),
    /// The one that the cookie of this name speaks of; for a caller without it, as `LeastRequest`.
    Sticky(Box<str>),
}

/// The endpoints of an upstream as they stand, by their places in its list.
pub trait Endpoints {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Attempts under way at endpoint `index`.
    fn in_flight(&self, index: u32) -> u32;

    /// Whether endpoint `index` is to be taken.
    fn standing(&self, index: u32) -> Standing;
}

/// Whether an endpoint is to be taken, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Never.
    Out,
    /// Only where there is nothing better: its breaker then says when to come back.
    Ejected,
    /// It could be, but others are to be taken by this pick, if there are any.
    Spared,
    /// It may.
    Usable,
}

/// What one pick goes by.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Endpoints to keep away from while there are others.
    pub tried: &'a [u32],
    /// The value of the hash's key or of the cookie; `None` or empty: the caller has none.
    pub key: Option<&'a [u8]>,
    /// A random word of the pick's own.
    pub random: u64,
    /// When the attempt begins.
    pub now: Time,
}

impl Ask<'_> {
    /// A number from 0 to 1 for each `purpose`: by the key, so that it is the same for all picks with that;
    /// without a key, by chance.
    pub fn lot(&self, purpose: u64) -> f64 {
        let key = self.key.filter(|key| !key.is_empty());
        let word = key.map_or(self.random, rendezvous::hash);
        mix(mix(word, LOT), purpose) as f64 / u64::MAX as f64
    }
}

/// A balance made ready for the endpoints of one upstream. Shared by all who pick: it holds no lock,
/// and a pick allocates nothing.
#[derive(Debug)]
pub struct Balancer {
    balance: Balance,
    members: Box<[Member]>,
    /// For each of them its weight and those of the ones before it.
    tickets: Box<[u64]>,
    /// By what a hash decides between them.
    contest: Contest,
    /// By what sticky cookies call them.
    marks: HashMap<[u8; 16], u32>,
    /// Endpoints in the order in which round-robin and weighted take them, one round.
    round: Box<[u32]>,
    next: AtomicUsize,
}

/// What is kept of one endpoint.
#[derive(Debug)]
struct Member {
    /// Of its name, so that it is found again whatever its place.
    hash: u64,
    /// What a sticky cookie calls it.
    mark: [u8; 16],
    weight: u32,
    latency: PeakEwma,
}

impl Balancer {
    /// For endpoints of these names and weights, in the order of the upstream's list. A weight of 0
    /// counts as 1.
    pub fn new<N: AsRef<str>>(balance: &Balance, names: &[N], weights: &[u32]) -> Self {
        let member = |(name, weight): (&N, &u32)| {
            let hash = rendezvous::hash(name.as_ref().as_bytes());
            let latency = PeakEwma::default();
            Member { hash, mark: mark(balance, hash), weight: (*weight).max(1), latency }
        };
        let members: Box<[Member]> = names.iter().zip(weights).map(member).collect();
        let round = match balance {
            Balance::RoundRobin => round::plain(members.len()),
            Balance::Weighted => {
                round::interleave(members.iter().map(|member| member.weight).collect())
            }
            _ => Box::default(),
        };
        let total = &mut 0;
        let tickets = members.iter().map(|member| {
            *total += u64::from(member.weight);
            *total
        });
        // Of several of one name the first is found.
        let marks = members.iter().enumerate().rev();
        let marks = marks.map(|(index, member)| (member.mark, index as u32));
        let sticky = matches!(balance, Balance::Sticky(_));
        let contest = match balance {
            Balance::Hash(_) => {
                Contest::new(members.iter().map(|member| (member.hash, member.weight)))
            }
            _ => Contest::default(),
        };
        Self {
            contest,
            balance: balance.clone(),
            tickets: tickets.collect(),
            marks: marks.filter(|_| sticky).collect(),
            members,
            round,
            next: AtomicUsize::new(0),
        }
    }

    /// Goes on from what `previous` knew of endpoints of the same names.
    pub fn inherit(&self, previous: &Self) {
        self.next.store(previous.next.load(Ordering::Relaxed), Ordering::Relaxed);
        let earlier = previous.members.iter().rev().map(|earlier| (earlier.hash, earlier));
        let earlier: HashMap<_, _> = earlier.collect();
        for member in &self.members {
            if let Some(earlier) = earlier.get(&member.hash) {
                member.latency.set(&earlier.latency);
            }
        }
    }

    /// Where the next attempt goes: to a usable endpoint that was not tried, or else to one that is
    /// spared; if all of these were tried, to one of them again; if there is none, to one that is
    /// ejected. `None`: there are no endpoints, or all are out.
    pub fn pick(&self, endpoints: &impl Endpoints, ask: &Ask<'_>) -> Option<u32> {
        let liking = Liking { endpoints, tried: ask.tried };
        let taken = match endpoints.len().min(self.members.len()) {
            0 => return None,
            1 => 0,
            _ => self.choose(endpoints, &liking, ask),
        };
        let is_in = |index: &u32| liking.of(*index) != Rank::Out;
        // Endpoints change while we look: then any other is as good.
        Some(taken).filter(is_in).or_else(|| self.indices().find(is_in))
    }

    /// Whether a pick does without endpoint `index`, of which only this share of the picks is to make
    /// use, from 0 to 1. The same for the same key, and those that make use of it with a smaller share do
    /// with a larger.
    pub fn spares(&self, index: u32, share: f64, ask: &Ask<'_>) -> bool {
        self.members.get(index as usize).is_some_and(|member| ask.lot(member.hash) >= share)
    }

    /// An attempt at endpoint `index` that took `took` has ended at `now`, as `seen` says.
    pub fn observe(&self, index: u32, took: Duration, seen: Seen, now: Time) {
        if self.balance != Balance::PeakEwma {
            return;
        }
        let Some(member) = self.members.get(index as usize) else { return };
        match seen {
            Seen::Answer => member.latency.observe(took, now),
            Seen::Failure => member.latency.observe(took.max(PENALTY), now),
            Seen::Nothing => member.latency.at_least(took, now),
        }
    }

    /// The time an answer of endpoint `index` is expected to take, where that is followed and one was
    /// seen.
    pub fn expected(&self, index: u32, now: Time) -> Option<Duration> {
        let member = self.members.get(index as usize)?;
        member.latency.expected(now)
    }

    /// The value of the cookie that binds its caller to endpoint `index`, where there is one.
    pub fn mark(&self, index: u32) -> Option<&[u8]> {
        let sticky = matches!(self.balance, Balance::Sticky(_));
        self.members.get(index as usize).filter(|_| sticky).map(|member| &member.mark[..])
    }

    /// What it does.
    pub const fn balance(&self) -> &Balance {
        &self.balance
    }
}

/// What an attempt shows of how long its endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It answered.
    Answer,
    /// It failed; how fast does not matter.
    Failure,
    /// Nobody waited for its answer: it takes no less than that.
    Nothing,
}

impl Seen {
    /// What an attempt that ended with `cause` shows.
    pub const fn of(cause: Cause) -> Self {
        match cause {
            Cause::Cancelled | Cause::Unavailable => Self::Nothing,
            // Overloads are answered fast as well, and must attract no load.
            Cause::Status(429 | 500..=599) => Self::Failure,
            // gRPC: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
            Cause::Grpc(2 | 4 | 8 | 13 | 14 | 15) => Self::Failure,
            Cause::Status(_) | Cause::Grpc(_) | Cause::Reply | Cause::AppError => Self::Answer,
            Cause::Connect
            | Cause::ConnectTimeout
            | Cause::Refused
            | Cause::Stale
            | Cause::Reset
            | Cause::Truncated
            | Cause::Protocol
            | Cause::Timeout => Self::Failure,
        }
    }
}

/// What the random word is for.
const LOT: u64 = 0x006c_6f74;

/// A name for the endpoint that tells nothing of where it is, the same in every run and on every
/// instance, so that a restart or another instance finds it again.
fn mark(balance: &Balance, hash: u64) -> [u8; 16] {
    let Balance::Sticky(cookie) = balance else { return [b'0'; 16] };
    let word = mix(rendezvous::hash(cookie.as_bytes()), hash);
    std::array::from_fn(|digit| b"0123456789abcdef"[(word >> (4 * digit)) as usize & 15])
}

/// What a failure is charged: so much more than an answer takes that an endpoint which fails fast
/// attracts no load.
const PENALTY: Duration = Duration::from_secs(5);
