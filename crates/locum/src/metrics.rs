//! What happened to calls, counted; and the text that Prometheus reads.
//!
//! Counting a call is three additions to memory that the threads of other processors rarely touch, and that
//! most threads have for themselves. What a scrape costs is of no concern.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use locum_wire::rpc::{Class, Protocol};

mod exposition;

pub(crate) use exposition::Exposition;

/// The calls of one method.
#[derive(Debug)]
pub(crate) struct Calls(Box<[Shard]>);

/// How a call ended: well, or with a failure of some class.
pub(crate) type Outcome = Result<(), Class>;

impl Calls {
    pub(crate) fn new() -> Self {
        Self((0..OWN + SHARED).map(|_| Shard::default()).collect())
    }

    /// Counts a call.
    #[inline]
    pub(crate) fn count(&self, protocol: Protocol, outcome: Outcome) {
        let place = Place::of_thread();
        let counts = &self.0[place.0].counts[protocol_index(protocol)];
        place.add(&counts[outcome_index(outcome)], 1);
    }

    /// Counts how long a call took.
    #[inline]
    pub(crate) fn time(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let place = Place::of_thread();
        let shard = &self.0[place.0];
        let bucket = BOUNDS.iter().position(|(_, bound)| nanos <= *bound).unwrap_or(BOUNDS.len());
        place.add(&shard.durations[bucket], 1);
        place.add(&shard.nanos, nanos);
    }

    /// How many calls of `protocol` ended with `outcome`.
    pub(crate) fn ended(&self, protocol: Protocol, outcome: Outcome) -> u64 {
        let (protocol, outcome) = (protocol_index(protocol), outcome_index(outcome));
        self.sum(|shard| &shard.counts[protocol][outcome])
    }

    /// How many calls ended.
    pub(crate) fn total(&self) -> u64 {
        let each = PROTOCOLS.iter().flat_map(|(protocol, _)| {
            OUTCOMES.iter().map(|(outcome, _)| self.ended(*protocol, *outcome))
        });
        each.sum()
    }

    /// How many calls took so long: for each of [`BOUNDS`] those of its bucket alone, then the longer ones;
    /// and the nanoseconds of all.
    pub(crate) fn durations(&self) -> ([u64; BOUNDS.len() + 1], u64) {
        let counts = std::array::from_fn(|bucket| self.sum(|shard| &shard.durations[bucket]));
        (counts, self.sum(|shard| &shard.nanos))
    }

    fn sum(&self, count: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.0.iter().map(|shard| count(shard).load(Ordering::Relaxed)).sum()
    }
}

/// The counts of one thread, or of those that share it. Aligned, so that no two are in one line of the cache.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    counts: [[AtomicU64; OUTCOMES.len()]; PROTOCOLS.len()],
    durations: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// Which shard of each method is a thread's.
#[derive(Clone, Copy)]
struct Place(usize);

impl Place {
    #[inline]
    fn of_thread() -> Self {
        PLACE.with(|place| *place)
    }

    /// Adds to a count of this place. Where nobody else does, an addition in two steps loses nothing, and
    /// costs a tenth of one that others may not come between.
    #[inline]
    fn add(self, count: &AtomicU64, more: u64) {
        if self.0 < OWN {
            count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        } else {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }
}

thread_local! {
    /// The first threads have one each, the others take turns.
    static PLACE: Place = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let thread = NEXT.fetch_add(1, Ordering::Relaxed);
        Place(if thread < OWN { thread } else { OWN + thread % SHARED })
    };
}

/// So many threads of a process have a shard each.
const OWN: usize = 8;

/// The others share these.
const SHARED: usize = 8;

/// Upper bounds in seconds, as they are written, and in nanoseconds.
pub(crate) const BOUNDS: [(&str, u64); 16] = [
    ("0.0001", 100_000),
    ("0.00025", 250_000),
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1.0", 1_000_000_000),
    ("2.5", 2_500_000_000),
    ("5.0", 5_000_000_000),
    ("10.0", 10_000_000_000),
];

/// Protocols, and their names as labels.
pub(crate) const PROTOCOLS: [(Protocol, &str); 3] =
    [(Protocol::Gob, "gob"), (Protocol::Json2, "jsonrpc"), (Protocol::Native, "native")];

/// Outcomes, and their names as labels.
pub(crate) const OUTCOMES: [(Outcome, &str); 9] = [
    (Ok(()), "ok"),
    (Err(Class::App), "app_error"),
    (Err(Class::UnknownMethod), "unknown_method"),
    (Err(Class::BadArguments), "bad_arguments"),
    (Err(Class::Rejected), "rejected"),
    (Err(Class::Deadline), "deadline"),
    (Err(Class::Cancelled), "cancelled"),
    (Err(Class::Unavailable), "unavailable"),
    (Err(Class::Internal), "internal"),
];

const fn protocol_index(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Gob => 0,
        // A server is spoken to in both on one connection.
        Protocol::Json1 | Protocol::Json2 => 1,
        Protocol::Native => 2,
    }
}

const fn outcome_index(outcome: Outcome) -> usize {
    match outcome {
        Ok(()) => 0,
        Err(Class::App) => 1,
        Err(Class::UnknownMethod) => 2,
        Err(Class::BadArguments) => 3,
        Err(Class::Rejected) => 4,
        Err(Class::Deadline) => 5,
        Err(Class::Cancelled) => 6,
        Err(Class::Unavailable) => 7,
        Err(Class::Internal) => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_and_outcome_has_a_place_of_its_own() {
        for (index, (protocol, _)) in PROTOCOLS.into_iter().enumerate() {
            assert_eq!(protocol_index(protocol), index);
        }
        for (index, (outcome, _)) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(outcome_index(outcome), index);
        }
    }

    #[test]
    fn what_is_counted_on_several_threads_is_added_up() {
        // Some of them share a place.
        const THREADS: u64 = (OWN + SHARED + 1) as u64;
        let calls = Calls::new();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    calls.count(Protocol::Gob, Ok(()));
                    calls.count(Protocol::Native, Err(Class::App));
                    calls.time(Duration::from_micros(100));
                    calls.time(Duration::from_secs(60));
                });
            }
        });
        let each = THREADS;
        assert_eq!(calls.ended(Protocol::Gob, Ok(())), each);
        assert_eq!(calls.ended(Protocol::Gob, Err(Class::App)), 0);
        assert_eq!(calls.total(), 2 * each);
        let (counts, nanos) = calls.durations();
        assert_eq!((counts[0], counts[BOUNDS.len()]), (each, each));
        assert_eq!(nanos, each * 60_000_100_000);
    }
}
