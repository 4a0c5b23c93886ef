//! What reading has taught about the program's own structs.
//!
//! Gob leaves out zeros, and a peer's struct may lack fields that ours has. Serde has no word for "keep what is
//! there", so what did not come is given as zero where it must be: for a field that the peer's type has,
//! since it is zero; for others, if our type says that it is missing, and has no default for it. That comes
//! out when a value is read, which is then done again. A zero is not given where our type refuses it, or where the name is an alias.
//!
//! All this depends on the program alone, not on what peers send, and is kept as long as the program runs.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use super::error::{Error, Kind};

/// What is known of a struct.
#[derive(Debug)]
pub(super) struct Facts {
    /// As serde gives them, aliases and all.
    fields: &'static [&'static str],
    known: Box<[AtomicU8]>,
}

/// If a field that the peer's type has not is given nonetheless, as zero.
const NOT_IF_ABSENT: u8 = 0;
const ALWAYS: u8 = 1;
/// Nor is one that the peer's type has.
const NEVER: u8 = 2;

type Key = (&'static str, &'static [&'static str]);

impl Facts {
    /// Of the struct that Rust calls `type_name`, with these fields.
    pub(super) fn of(type_name: &'static str, fields: &'static [&'static str]) -> Arc<Self> {
        static KNOWN: RwLock<Option<FxHashMap<Key, Arc<Facts>>>> = RwLock::new(None);
        let key = (type_name, fields);
        if let Some(known) = &*KNOWN.read().unwrap_or_else(PoisonError::into_inner)
            && let Some(facts) = known.get(&key)
        {
            return Arc::clone(facts);
        }
        let known = fields.iter().map(|_| AtomicU8::new(NOT_IF_ABSENT)).collect();
        let mut all = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            all.get_or_insert_default()
                .entry(key)
                .or_insert_with(|| Arc::new(Self { fields, known })),
        )
    }

    /// Whether the field that did not come is given as zero; `sent` is whether the peer's type has it.
    #[inline]
    pub(super) fn gives_zero(&self, field: usize, sent: bool) -> bool {
        match self.known.get(field).map(|known| known.load(Ordering::Relaxed)) {
            Some(NOT_IF_ABSENT) => sent,
            Some(ALWAYS) => true,
            _ => false,
        }
    }

    /// Makes something of the error that a struct was refused with: `zero` is the field that was being given
    /// as zero, `given` are the fields that were given.
    #[cold]
    pub(super) fn learn(
        &self,
        error: Error,
        zero: Option<usize>,
        given: impl Fn(usize) -> bool,
    ) -> Error {
        match (error.kind(), zero) {
            (Kind::Again | Kind::Mismatch(..), _) => error,
            (_, Some(zero)) => {
                self.known[zero].store(NEVER, Ordering::Relaxed);
                Error::new(Kind::Again)
            }
            (Kind::Missing(name), None) => self.missing(name, given),
            (Kind::Duplicate(_), None) => Error::text(error.to_string()),
            _ => error,
        }
    }

    fn missing(&self, name: &'static str, given: impl Fn(usize) -> bool) -> Error {
        let Some(at) = self.fields.iter().position(|field| *field == name) else {
            return Error::text(format!("gob: missing field `{name}`"));
        };
        let never = self.known[at].load(Ordering::Relaxed) == NEVER;
        if never || given(at) {
            return Error::text(format!(
                "gob: field `{name}` was not sent, which means zero, and it cannot be zero"
            ));
        }
        self.known[at].store(ALWAYS, Ordering::Relaxed);
        Error::new(Kind::Again)
    }
}
