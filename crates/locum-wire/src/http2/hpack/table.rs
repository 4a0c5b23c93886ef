//! What was said before on a connection (RFC 7541 §2.3.2).

use std::collections::VecDeque;

use super::TABLE_SIZE;

/// The newest fields of one direction, as many as fit. Takes memory as it is filled.
#[derive(Debug)]
pub(super) struct Table {
    /// Names and values one after the other, the oldest first; those of evicted entries may still
    /// be there.
    bytes: Vec<u8>,
    /// What to take from an entry's position to find it in `bytes`.
    moved: u32,
    /// The oldest first.
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u32,
    name: u32,
    value: u32,
}

/// What RFC 7541 §4.1 counts for an entry besides its bytes.
pub(super) const OVERHEAD: usize = 32;

impl Table {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), moved: 0, entries: VecDeque::new(), size: 0, max: TABLE_SIZE }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// RFC 7541 §4.3.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict_to(max);
    }

    /// The entry that was inserted `age` insertions ago: 0 is the newest.
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(self.entries.len().checked_sub(age + 1)?)?;
        let at = entry.at.wrapping_sub(self.moved) as usize;
        let both = &self.bytes[at..at + (entry.name + entry.value) as usize];
        Some(both.split_at(entry.name as usize))
    }

    /// RFC 7541 §4.4. False: it does not fit, and the table is empty now.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) -> bool {
        let size = name.len() + value.len() + OVERHEAD;
        self.evict_to(self.max.saturating_sub(size));
        if size > self.max {
            return false;
        }
        self.make_room(name.len() + value.len());
        self.entries.push_back(Entry {
            at: self.moved.wrapping_add(self.bytes.len() as u32),
            name: name.len() as u32,
            value: value.len() as u32,
        });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += size;
        true
    }

    /// Inserts what takes at most a quarter of the table; says whether it did.
    pub(super) fn insert_if_small(&mut self, name: &[u8], value: &[u8]) -> bool {
        name.len() + value.len() + OVERHEAD <= self.max / 4 && self.insert(name, value)
    }

    fn evict_to(&mut self, most: usize) {
        while self.size > most
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= (oldest.name + oldest.value) as usize + OVERHEAD;
        }
    }

    /// Moves what lives to the front when what is dead takes as much room as the table may have: so
    /// each byte is moved once in a while, not at every insertion.
    fn make_room(&mut self, more: usize) {
        if self.bytes.len() + more <= 2 * self.max {
            return;
        }
        let dead = match self.entries.front() {
            Some(oldest) => oldest.at.wrapping_sub(self.moved) as usize,
            None => self.bytes.len(),
        };
        self.bytes.drain(..dead);
        self.moved = self.moved.wrapping_add(dead as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_room_is_needed() {
        let mut table = Table::new();
        table.resize(100);
        assert!(table.insert(b"a", b"1"));
        assert!(table.insert(b"b", b"2"));
        assert_eq!((table.get(0), table.get(1)), (pair("b", "2"), pair("a", "1")));
        assert!(table.insert(b"c", b"3"));
        assert_eq!(
            (table.entries.len(), table.get(0), table.get(1)),
            (2, pair("c", "3"), pair("b", "2"))
        );
        assert_eq!(table.get(2), None);
        table.resize(40);
        assert_eq!((table.entries.len(), table.get(0)), (1, pair("c", "3")));
        assert!(!table.insert(b"long", b"longer"), "RFC 7541 §4.4: it empties the table");
        assert_eq!((table.entries.len(), table.size), (0, 0));
        assert!(!table.insert(&[b'x'; 5000], b""));
    }

    #[test]
    fn memory_stays_within_twice_the_size() {
        let mut table = Table::new();
        table.moved = u32::MAX - 10_000;
        for number in 0..20_000u32 {
            let value = vec![number as u8; number as usize % 200];
            assert!(table.insert(&number.to_be_bytes(), &value));
            let newest = table.get(0).unwrap();
            assert_eq!(newest, (&number.to_be_bytes()[..], &value[..]));
            let oldest = table.get(table.entries.len() - 1).unwrap();
            assert_eq!(oldest.1.len(), (number as usize - (table.entries.len() - 1)) % 200);
            assert!(table.size <= TABLE_SIZE && table.bytes.len() <= 2 * TABLE_SIZE);
        }
        assert!(table.bytes.capacity() <= 4 * TABLE_SIZE);
    }

    fn pair<'a>(name: &'a str, value: &'a str) -> Option<(&'a [u8], &'a [u8])> {
        Some((name.as_bytes(), value.as_bytes()))
    }
}
