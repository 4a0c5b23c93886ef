//! A gob stream, written.

use serde::Serialize;

use super::error::Error;
use super::num::put_int;
use super::{Corrupt, Definitions, Schema, TypeId, Types, ser};
use crate::rpc::{EncodeError, Limits};

/// Writes one gob stream.
///
/// ```
/// use locum_wire::gob;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Args {
///     a: i64,
///     b: i64,
/// }
/// let schema = gob::Schema::trace::<Args>()?;
/// let (mut encoder, mut out) = (gob::Encoder::new(), Vec::new());
/// // The first brings the definition along.
/// encoder.encode(&mut out, &schema, &Args { a: 7, b: 8 })?;
/// out.clear();
/// encoder.encode(&mut out, &schema, &Args { a: 7, b: 8 })?;
/// assert_eq!(out, b"\x07\xff\x82\x01\x0e\x01\x10\x00");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Encoder {
    definitions: Definitions,
    /// Definitions that are still to leave, before the next value.
    unsent: Vec<u8>,
    /// What is known of schemas, by their slots.
    known: Vec<Option<Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    id: TypeId,
    /// How many bytes the length of the last value took: most likely those of the next.
    prefix: usize,
}

impl Encoder {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends definitions that the stream lacks, and the value.
    ///
    /// # Errors
    ///
    /// The value is none that the schema could describe; nothing was appended.
    pub fn encode<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        schema: &Schema,
        value: &T,
    ) -> Result<(), EncodeError> {
        let known = match self.known.get(schema.slot()) {
            Some(Some(known)) => *known,
            _ => self.learn(schema)?,
        };
        let prefix = self.message(out, known.prefix, |encoder, out| {
            put_int(out, i64::from(known.id.0));
            if !schema.root().is_struct() {
                out.push(0);
            }
            ser::write(encoder, out, schema, value)
        })?;
        if prefix != known.prefix
            && let Some(Some(known)) = self.known.get_mut(schema.slot())
        {
            known.prefix = prefix;
        }
        Ok(())
    }

    /// How many types the stream has defined. They stay for its life, and a peer takes only so many (see
    /// [`Limits::types`]), so that who writes ever new types has to begin another in time.
    pub fn defined(&self) -> usize {
        self.definitions.len()
    }

    /// Whether that time has come: more than half of what a peer with these limits takes is defined.
    pub fn is_worn(&self, limits: &Limits) -> bool {
        self.definitions.is_worn(limits)
    }

    #[cold]
    fn learn(&mut self, schema: &Schema) -> Result<Known, Error> {
        let known = Known { id: self.define(&schema.types, schema.id)?, prefix: 1 };
        let slot = schema.slot();
        // A program that makes schemas without end asks for each again.
        if slot < MOST_KNOWN {
            if self.known.len() <= slot {
                self.known.resize(slot + 1, None);
            }
            self.known[slot] = Some(known);
        }
        Ok(known)
    }

    /// The number of a type on this stream. Its definition leaves before the next value, if it has not yet.
    ///
    /// # Errors
    ///
    /// `types` does not define it, or part of it.
    #[inline]
    pub(super) fn define(&mut self, types: &Types, id: TypeId) -> Result<TypeId, Corrupt> {
        self.define_within(types, id, &Limits::NONE)
    }

    /// The same, unless the stream's peer, who has these limits, would not take so many.
    #[inline]
    pub(super) fn define_within(
        &mut self,
        types: &Types,
        id: TypeId,
        limits: &Limits,
    ) -> Result<TypeId, Corrupt> {
        self.definitions.send(&mut self.unsent, types, id, limits)
    }

    /// Whether there may be interfaces in values of the type that has this number.
    pub(super) fn has_interface(&self, number: TypeId) -> bool {
        self.definitions.has_interface(number)
    }

    /// Appends one message, after all definitions that are to leave, also those that `write` asks for: a
    /// message is never cut in two, as Go would do. `prefix` is how many bytes its length may take; tells how
    /// many it did. When `write` fails, nothing is appended; definitions leave with the next message.
    #[inline]
    pub(super) fn message<E>(
        &mut self,
        out: &mut Vec<u8>,
        prefix: usize,
        write: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let start = out.len();
        match prefix {
            1 => out.push(0),
            _ => out.resize(start + prefix, 0),
        }
        if let Err(error) = write(self, out) {
            out.truncate(start);
            return Err(error);
        }
        let body = start + prefix;
        let length = out.len() - body;
        let needed = if prefix == 1 && length < 0x80 {
            out[start] = length as u8;
            1
        } else {
            put_length(out, start, prefix, length)
        };
        if !self.unsent.is_empty() {
            out.splice(start..start, self.unsent.drain(..));
        }
        Ok(needed)
    }
}

/// Puts the length of what follows into the `prefix` bytes at `start`, moving that if it takes more or fewer.
fn put_length(out: &mut Vec<u8>, start: usize, prefix: usize, length: usize) -> usize {
    let bytes = (length as u64).to_be_bytes();
    let zeros = (length as u64).leading_zeros() as usize / 8;
    // gob: encoding/gob/encode.go encodeUint: small numbers stand for themselves.
    let (head, digits) = match length {
        0..0x80 => (length as u8, &[][..]),
        _ => ((zeros as u8).wrapping_sub(8), &bytes[zeros..]),
    };
    let needed = 1 + digits.len();
    if needed != prefix {
        out.splice(start..start + prefix, std::iter::repeat_n(0, needed));
    }
    out[start] = head;
    out[start + 1..start + needed].copy_from_slice(digits);
    needed
}

/// How many schemas a stream remembers.
const MOST_KNOWN: usize = 1 << 16;
