//! The fields of one block, after they were read.

/// Names and values, one behind the other in one buffer that is used again and again.
///
/// Not more is kept than the limits allow; what is beyond them is read, as the table needs it, and
/// forgotten.
#[derive(Debug)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
    /// Which of them must never be in a table, of anybody (RFC 7541 §7.1.3).
    secret: Vec<u32>,
    /// Bytes as RFC 9113 §6.5.2 counts them, and how many may still come.
    room: usize,
    fields: usize,
    excess: Option<Excess>,
    /// Bytes that may still be read beyond the limits.
    patience: usize,
}

/// Which limit a block exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Bytes,
    Fields,
    /// So much that reading it is not worth a connection. The rest of the block was not read.
    Patience,
}

/// How many times more than the limit is read, so that whoever sent it can be answered.
const PATIENCE: usize = 4;

impl Fields {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            secret: Vec::new(),
            room: 0,
            fields: 0,
            excess: None,
            patience: 0,
        }
    }

    /// Makes ready for a block of at most so many `bytes` (RFC 9113 §6.5.2: 32 more than there are, for
    /// each field) and `fields`.
    pub(crate) fn restart(&mut self, bytes: usize, fields: usize) {
        self.bytes.clear();
        self.ends.clear();
        self.secret.clear();
        (self.room, self.fields, self.excess) = (bytes, fields, None);
        self.patience = bytes.saturating_mul(PATIENCE);
    }

    /// Gives the memory back.
    pub(crate) fn shrink(&mut self) {
        (self.bytes, self.ends, self.secret) = (Vec::new(), Vec::new(), Vec::new());
    }

    /// Which limit was exceeded, if any.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Names and values, in the order they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, end)| {
            let (name, value) = (start..name_end as usize, name_end as usize..end as usize);
            start = end as usize;
            (&self.bytes[name], &self.bytes[value])
        })
    }

    /// Where names and values are written: a name, then [`push`](Self::push) with where it ends.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes what was written behind the last field as a field, whose name is `name_len` long.
    pub(super) fn push(&mut self, name_len: usize) {
        let start = self.ends.last().map_or(0, |it| it.1 as usize);
        let size = self.bytes.len() - start + super::table::OVERHEAD;
        if self.excess.is_none() {
            if self.ends.len() >= self.fields {
                self.excess = Some(Excess::Fields);
            } else if size > self.room {
                self.excess = Some(Excess::Bytes);
            }
        }
        if self.excess.is_some() {
            self.bytes.truncate(start);
            self.skip(size);
            return;
        }
        self.room -= size;
        self.ends.push(((start + name_len) as u32, self.bytes.len() as u32));
    }

    /// The last field must never be in a table.
    pub(super) fn mark_secret(&mut self) {
        if self.excess.is_none() {
            self.secret.push(self.ends.len() as u32 - 1);
        }
    }

    /// The names of those that must never be in a table.
    pub(crate) fn secret(&self) -> impl Iterator<Item = &[u8]> {
        self.secret.iter().map(|&at| {
            let start = (at as usize).checked_sub(1).map_or(0, |before| self.ends[before].1);
            &self.bytes[start as usize..self.ends[at as usize].0 as usize]
        })
    }

    /// Takes note of a field of so many bytes (RFC 9113 §6.5.2) beyond the limits.
    pub(super) fn skip(&mut self, size: usize) {
        match self.patience.checked_sub(size) {
            Some(left) => self.patience = left,
            None => self.excess = Some(Excess::Patience),
        }
    }

    /// What was written behind the last field.
    pub(super) fn last(&self) -> &[u8] {
        &self.bytes[self.ends.last().map_or(0, |it| it.1 as usize)..]
    }
}
