//! Writing blocks (RFC 7541 §6).

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use super::table::Table;
use super::{TABLE_SIZE, huffman, integer, predefined};

/// Writes the blocks of one direction of a connection.
///
/// A field goes into the table when it is sent for the second time within a while: so what repeats
/// costs one byte, and what never does drives nothing out. Both are looked up by their hash in a few
/// slots; when two fields share one, some compression is lost and nothing else.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(super) table: Table,
    /// How many fields were inserted so far.
    inserted: u32,
    slots: Option<Box<Slots>>,
    /// The smallest and the last size that the peer asked for since the last block.
    resized: Option<(usize, usize)>,
}

/// Whether a value may be kept in the table, where others who send on the same connection could
/// find out by guessing what it is (RFC 7541 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    Public,
    Secret,
}

#[derive(Debug)]
struct Slots {
    /// Hashes of fields that were sent lately.
    seen: [u32; SLOTS],
    /// By the hash of a field, and of a name: how many were inserted when it was.
    fields: [u32; SLOTS],
    names: [u32; SLOTS],
}

const SLOTS: usize = 128;

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), inserted: 0, slots: None, resized: None }
    }

    /// The peer keeps a table of at most this size.
    pub(crate) fn set_most(&mut self, most: usize) {
        let size = most.min(TABLE_SIZE);
        let smallest = self.resized.map_or(size, |(smallest, _)| smallest.min(size));
        self.resized = Some((smallest, size));
    }

    /// Begins a block.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        let Some((smallest, last)) = self.resized.take() else { return };
        if smallest < self.table.max() || last != self.table.max() {
            if smallest < last {
                integer::encode(out, 0x20, 5, smallest);
                self.table.resize(smallest);
            }
            integer::encode(out, 0x20, 5, last);
            self.table.resize(last);
        }
    }

    /// Appends a field. The name must be lower case.
    pub(crate) fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8], secrecy: Secrecy) {
        let predefined = predefined::find(name);
        if let Some(number) = predefined.and_then(|first| predefined::find_value(first, value)) {
            integer::encode(out, 0x80, 7, number);
            return;
        }
        if secrecy == Secrecy::Secret {
            return literal(out, 0x10, 4, predefined, name, value);
        }
        let slots = self.slots.get_or_insert_with(|| {
            Box::new(Slots { seen: [0; SLOTS], fields: [0; SLOTS], names: [0; SLOTS] })
        });
        let name_hash = hash(name, 0);
        let field_hash = hash(value, name_hash);
        let (name_slot, slot) = (name_hash as usize % SLOTS, field_hash as usize % SLOTS);

        let numbered = number(&self.table, self.inserted, slots.fields[slot]);
        if let Some((number, _, _)) = numbered.filter(|it| it.1 == name && it.2 == value) {
            integer::encode(out, 0x80, 7, number);
            return;
        }
        let known = predefined.or_else(|| {
            let numbered = number(&self.table, self.inserted, slots.names[name_slot]);
            numbered.filter(|it| it.1 == name).map(|it| it.0)
        });
        let was_seen = std::mem::replace(&mut slots.seen[slot], field_hash) == field_hash;
        if !was_seen || !self.table.insert_if_small(name, value) {
            return literal(out, 0x00, 4, known, name, value);
        }
        self.inserted = self.inserted.wrapping_add(1);
        slots.fields[slot] = self.inserted;
        slots.names[name_slot] = self.inserted;
        literal(out, 0x40, 6, known, name, value);
    }
}

/// The number of the field that was the `nth` to be inserted, and the field.
fn number(table: &Table, inserted: u32, nth: u32) -> Option<(usize, &[u8], &[u8])> {
    let age = inserted.wrapping_sub(nth) as usize;
    let (name, value) = table.get(age)?;
    Some((predefined::COUNT + 1 + age, name, value))
}

/// RFC 7541 §6.2.
fn literal(
    out: &mut Vec<u8>,
    first: u8,
    prefix: u32,
    known: Option<usize>,
    name: &[u8],
    value: &[u8],
) {
    integer::encode(out, first, prefix, known.unwrap_or(0));
    if known.is_none() {
        string(out, name);
    }
    string(out, value);
}

/// RFC 7541 §5.2.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let coded = huffman::coded_len(text);
    if coded < text.len() {
        integer::encode(out, 0x80, 7, coded);
        huffman::encode(text, out);
    } else {
        integer::encode(out, 0x00, 7, text.len());
        out.extend_from_slice(text);
    }
}

fn hash(bytes: &[u8], seed: u32) -> u32 {
    let mut hasher = FxHasher::default();
    seed.hash(&mut hasher);
    hasher.write(bytes);
    // Zero is what an empty slot has.
    (hasher.finish() >> 20) as u32 | 1 << 31
}
