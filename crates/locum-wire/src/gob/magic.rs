//! How types tell gob what they are through serde, which has no words for it: by the names of newtypes,
//! which all other formats ignore.

use super::OpaqueKind;

/// What a newtype stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    /// [`Complex`](super::Complex): holds a pair of floats.
    Complex,
    /// [`Any`](super::Any): holds a name and a gob stream.
    Any,
    /// A type with bytes of its own, which it holds.
    Opaque { name: &'static str, kind: OpaqueKind, zero: bool },
}

pub(super) const COMPLEX: &str = "locum::gob::C";
pub(super) const ANY: &str = "locum::gob::A";
const PREFIX: &str = "locum::gob::";

impl Magic {
    /// What the newtype called `name` stands for, if for anything.
    #[inline]
    pub(super) fn of(name: &'static str) -> Option<Self> {
        let (letter, name) = name.strip_prefix(PREFIX)?.split_at_checked(1)?;
        let opaque = |kind, zero| Some(Self::Opaque { name, kind, zero });
        match letter {
            "C" => Some(Self::Complex),
            "A" => Some(Self::Any),
            "G" => opaque(OpaqueKind::GobEncoder, false),
            "g" => opaque(OpaqueKind::GobEncoder, true),
            "B" => opaque(OpaqueKind::BinaryMarshaler, false),
            "b" => opaque(OpaqueKind::BinaryMarshaler, true),
            "T" => opaque(OpaqueKind::TextMarshaler, false),
            "t" => opaque(OpaqueKind::TextMarshaler, true),
            _ => None,
        }
    }
}

/// The newtype's name for an opaque type, in a buffer, and its length. For constants: a name that is too
/// long does not compile.
pub(super) const fn opaque(kind: OpaqueKind, zero: bool, name: &str) -> ([u8; 96], usize) {
    let letter = match (kind, zero) {
        (OpaqueKind::GobEncoder, false) => b'G',
        (OpaqueKind::GobEncoder, true) => b'g',
        (OpaqueKind::BinaryMarshaler, false) => b'B',
        (OpaqueKind::BinaryMarshaler, true) => b'b',
        (OpaqueKind::TextMarshaler, false) => b'T',
        (OpaqueKind::TextMarshaler, true) => b't',
    };
    let mut buffer = [0; 96];
    let mut at = 0;
    while at < PREFIX.len() {
        buffer[at] = PREFIX.as_bytes()[at];
        at += 1;
    }
    buffer[at] = letter;
    at += 1;
    let mut from = 0;
    while from < name.len() {
        buffer[at] = name.as_bytes()[from];
        at += 1;
        from += 1;
    }
    (buffer, at)
}

/// The text of a constant made by [`opaque`].
pub(super) const fn text(made: &'static ([u8; 96], usize)) -> &'static str {
    match str::from_utf8(made.0.split_at(made.1).0) {
        Ok(text) => text,
        Err(_) => panic!("made of text"),
    }
}
