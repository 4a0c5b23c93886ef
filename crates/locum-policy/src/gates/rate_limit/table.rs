//! Buckets by key, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;

use crate::Time;

use super::algorithm::Algorithm;
use super::store::lock;

/// The bucket of each key. A key is its 64-bit keyed hash: two of 100,000 strangers share a bucket
/// once in billions of tables, and nobody can make it happen.
pub(super) struct Table<A: Algorithm> {
    shards: Box<[Mutex<Shard<A::State>>]>,
    /// Of new keys while the table is full of active ones.
    overflow: Mutex<A::State>,
}

/// An entry takes 32 or 48 bytes, and its place in the index at most 78.
struct Shard<S> {
    capacity: usize,
    index: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    entries: Vec<Entry<S>>,
    /// Where the search for an idle entry goes on.
    hand: usize,
}

struct Entry<S> {
    key: u64,
    state: S,
}

impl<A: Algorithm> Table<A> {
    pub(super) fn new(algorithm: &A, max_keys: usize) -> Self {
        // Shards of a thousand and more fill evenly enough to use 90 % of the table.
        let shards = (max_keys / 1_024).clamp(1, 64);
        let shard = |index| {
            let capacity = max_keys / shards + usize::from(index < max_keys % shards);
            Mutex::new(Shard { capacity, index: HashMap::default(), entries: Vec::new(), hand: 0 })
        };
        Self { shards: (0..shards).map(shard).collect(), overflow: Mutex::new(algorithm.fresh()) }
    }

    /// Lets `step` work on the bucket of `key`, which stays locked meanwhile. If it fails it has
    /// taken nothing.
    pub(super) fn update<T, E>(
        &self,
        key: u64,
        algorithm: &A,
        now: Time,
        step: impl FnOnce(&mut A::State) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut shard = lock(self.shard(key));
        if let Some(&place) = shard.index.get(&key) {
            return step(&mut shard.entries[place as usize].state);
        }
        let Some(place) = shard.free_place(|state| algorithm.is_idle(state, now)) else {
            drop(shard);
            return step(&mut lock(&self.overflow));
        };
        let mut state = algorithm.fresh();
        let done = step(&mut state)?;
        // An idle bucket equals an absent one, so a key that only looked needs no entry.
        if !algorithm.is_idle(&state, now) {
            shard.put(place, Entry { key, state });
        }
        Ok(done)
    }

    pub(super) const fn overflow(&self) -> &Mutex<A::State> {
        &self.overflow
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    fn shard(&self, key: u64) -> &Mutex<Shard<A::State>> {
        // The index uses the low bits, the choice of a shard the high ones.
        &self.shards[((u128::from(key) * self.shards.len() as u128) >> 64) as usize]
    }
}

impl<S> Shard<S> {
    /// Finds a place for a new key; `None` if all seem taken by active ones.
    fn free_place(&mut self, is_idle: impl Fn(&S) -> bool) -> Option<usize> {
        if self.entries.len() < self.capacity {
            return Some(self.entries.len());
        }
        // A bounded search, so that a flood of keys costs each of them no more than a look at a few.
        for _ in 0..self.capacity.min(SEARCH) {
            let place = self.hand;
            self.hand = (place + 1) % self.capacity;
            if is_idle(&self.entries[place].state) {
                return Some(place);
            }
        }
        None
    }

    /// Puts an entry where [`free_place`](Self::free_place) found room.
    fn put(&mut self, place: usize, entry: Entry<S>) {
        if let Some(idle) = self.entries.get_mut(place) {
            self.index.remove(&idle.key);
            self.index.insert(entry.key, place as u32);
            *idle = entry;
            return;
        }
        self.index.insert(entry.key, place as u32);
        let used = self.entries.len();
        if used == self.entries.capacity() {
            // By a quarter: doubling would leave half of a large table unused.
            self.entries.reserve_exact((used / 4).max(4).min(self.capacity - used));
        }
        self.entries.push(entry);
    }
}

const SEARCH: usize = 32;

/// The key is a hash already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64")
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use allocation_counter::measure;

    use super::*;
    use crate::gates::rate_limit::algorithm::{Ask, Refusal};
    use crate::gates::rate_limit::bucket::Bucket;
    use crate::gates::rate_limit::gcra::Gcra;
    use crate::gates::rate_limit::warm_up::WarmUp;
    use crate::gates::rate_limit::window::Window;
    use crate::seed::mix;
    use crate::text::Rate;

    const MAX_KEYS: usize = 100_000;
    const STRANGERS: u64 = 10_000_000;

    fn take<A: Algorithm>(table: &Table<A>, algorithm: &A, key: u64, now: Time) -> bool {
        let ask = Ask { now, units: 1, deadline: None };
        let step = |state: &mut A::State| {
            algorithm.advance(state, now);
            algorithm.decide(state, &ask)?;
            algorithm.take(state, &ask);
            Ok::<_, Refusal>(())
        };
        table.update(key, algorithm, now, step).is_ok()
    }

    fn an_hour() -> Rate {
        Rate::new(1, Duration::from_secs(3_600)).unwrap()
    }

    #[test]
    fn millions_of_strangers_neither_fill_the_memory_nor_push_out_who_is_active() {
        let bucket = Bucket::token(Gcra::new(an_hour(), an_hour().count));
        let table = Table::new(&bucket, MAX_KEYS);
        let passed = (0..STRANGERS).filter(|key| take(&table, &bucket, mix(*key, 1), Time::ZERO));
        // Each with a place of its own passed once, and one through the bucket that the others share.
        let passed = passed.count();
        assert_eq!(passed, table.len() + 1);
        assert!((MAX_KEYS * 9 / 10..=MAX_KEYS).contains(&table.len()), "{}", table.len());
        // The first to come are active still.
        assert!((0..50_000).all(|key| !take(&table, &bucket, mix(key, 1), Time::ZERO)));
        // Once idle they make room, one for one.
        let later = Time::ZERO + Duration::from_secs(3_600);
        let fresh = (0..50_000).filter(|key| take(&table, &bucket, mix(*key, 2), later)).count();
        assert_eq!((fresh, table.len()), (50_000, passed - 1));
    }

    /// The most bytes a key takes while a table fills and all its keys come and go.
    fn bytes_per_key<A: Algorithm>(algorithm: &A) -> u64 {
        let counted = measure(|| {
            let table = Table::new(algorithm, MAX_KEYS);
            for hour in 0..3_u64 {
                let now = Time::ZERO + Duration::from_secs(4 * 3_600 * hour);
                for key in 0..MAX_KEYS as u64 {
                    take(&table, algorithm, mix(key, hour), now);
                }
            }
        });
        counted.bytes_max / MAX_KEYS as u64
    }

    #[test]
    fn a_key_takes_at_most_128_bytes() {
        let gcra = Gcra::new(an_hour(), an_hour().count);
        let warm_up = WarmUp::new(gcra, Duration::from_secs(60), 3.0, None);
        for (name, bytes) in [
            ("token-bucket", bytes_per_key(&Bucket::token(gcra))),
            ("sliding-window", bytes_per_key(&Window::new(an_hour()))),
            ("warm-up", bytes_per_key(&warm_up)),
        ] {
            assert!(bytes <= 128, "{name}: {bytes}");
        }
    }

    #[test]
    fn a_key_that_only_looks_gets_no_place() {
        let bucket = Bucket::token(Gcra::new(an_hour(), an_hour().count));
        let table = Table::new(&bucket, 10);
        let Ok(()) = table.update(1, &bucket, Time::ZERO, |_| Ok::<_, Infallible>(()));
        assert_eq!(table.len(), 0);
    }
}
