//! Meters by key, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::Time;

use super::cell::Cell;
use super::gcra::{Gcra, Hit};

/// Where the meter of each key stands. A key is its 64-bit keyed hash: two of 100,000 strangers share
/// a bucket once in billions of tables, and nobody can make it happen.
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// Of new keys while the table is full of active ones.
    overflow: Cell,
}

/// An entry takes 32 bytes and its place in the index at most 40 more, growth included.
struct Shard {
    capacity: usize,
    index: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    entries: Vec<Entry>,
    /// Where the search for an idle entry goes on.
    hand: usize,
}

struct Entry {
    key: u64,
    tat: u128,
}

impl Table {
    pub(super) fn new(gcra: &Gcra, max_keys: usize) -> Self {
        // Shards of a thousand and more fill evenly enough to use 90 % of the table.
        let shards = (max_keys / 1_024).clamp(1, 64);
        let shard = |index| {
            let capacity = max_keys / shards + usize::from(index < max_keys % shards);
            Mutex::new(Shard { capacity, index: HashMap::default(), entries: Vec::new(), hand: 0 })
        };
        Self { shards: (0..shards).map(shard).collect(), overflow: Cell::new(gcra) }
    }

    /// Moves the meter of `key` to where `decide` says, unless it refuses.
    pub(super) fn update<E>(
        &self,
        key: u64,
        gcra: &Gcra,
        now: Time,
        decide: impl Fn(u128) -> Result<Hit, E>,
    ) -> Result<Hit, E> {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&place) = shard.index.get(&key) {
            let entry = &mut shard.entries[place as usize];
            let hit = decide(entry.tat)?;
            entry.tat = hit.tat;
            return Ok(hit);
        }
        // An idle meter equals an absent one, so a refused or idle key needs no entry.
        let hit = decide(0)?;
        if hit.ahead > 0 && !shard.insert(Entry { key, tat: hit.tat }, gcra.ticks(now)) {
            drop(shard);
            return self.overflow.update(decide);
        }
        Ok(hit)
    }

    /// Where the meter of `key` stands.
    pub(super) fn tat(&self, key: u64) -> u128 {
        let shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        match shard.index.get(&key) {
            Some(&place) => shard.entries[place as usize].tat,
            None if shard.entries.len() < shard.capacity => 0,
            None => self.overflow.tat(),
        }
    }

    pub(super) fn overflow(&self) -> &Cell {
        &self.overflow
    }

    pub(super) fn len(&self) -> usize {
        let lock = |shard: &Mutex<Shard>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
        };
        self.shards.iter().map(lock).sum()
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        // The index uses the low bits, the choice of a shard the high ones.
        &self.shards[((u128::from(key) * self.shards.len() as u128) >> 64) as usize]
    }
}

impl Shard {
    /// Finds a place for a new key; `false` if all places seem taken by active ones.
    fn insert(&mut self, entry: Entry, now: u128) -> bool {
        if self.entries.len() < self.capacity {
            self.index.insert(entry.key, self.entries.len() as u32);
            self.entries.push(entry);
            return true;
        }
        // A bounded search, so that a flood of keys costs each of them no more than a look at a few.
        for _ in 0..self.capacity.min(SEARCH) {
            let place = self.hand;
            self.hand = (place + 1) % self.capacity;
            if self.entries[place].tat <= now {
                self.index.remove(&self.entries[place].key);
                self.index.insert(entry.key, place as u32);
                self.entries[place] = entry;
                return true;
            }
        }
        false
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
