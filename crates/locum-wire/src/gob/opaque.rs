//! Types that make their own bytes: Go's `GobEncoder` and `BinaryMarshaler`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{BigInt, OpaqueKind, Time, magic};

/// A type that stands for one of Go's whose bytes only the type itself understands. [`Opaque`] sends it.
///
/// ```
/// use locum_wire::gob::{Marshal, Opaque, OpaqueKind};
///
/// /// `uuid.UUID` of github.com/google/uuid.
/// #[derive(Default, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Uuid([u8; 16]);
///
/// impl Marshal for Uuid {
///     const NAME: &'static str = "UUID";
///     const KIND: OpaqueKind = OpaqueKind::BinaryMarshaler;
///     fn marshal(&self) -> Vec<u8> {
///         self.0.to_vec()
///     }
///     fn unmarshal(bytes: &[u8]) -> Result<Self, String> {
///         bytes.try_into().map(Self).map_err(|_| "invalid UUID".to_owned())
///     }
/// }
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct User {
///     id: Opaque<Uuid>,
/// }
/// ```
///
/// The default is what Go calls its zero value: it stands for what did not come.
pub trait Marshal: Default + PartialEq {
    /// What Go calls it, without its package; up to 64 bytes.
    const NAME: &'static str;
    /// Which of Go's interfaces it implements.
    const KIND: OpaqueKind;

    /// Its bytes. No bytes at all stand for the zero value.
    fn marshal(&self) -> Vec<u8>;

    /// Whether a struct leaves it out, as Go does with the zero value, unless it is behind a pointer there.
    fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// What it was before it became those bytes, which are not none.
    ///
    /// # Errors
    ///
    /// It did not become those; the text says why.
    fn unmarshal(bytes: &[u8]) -> Result<Self, String>;
}

/// A `T` that goes over gob as bytes of its own. In formats for people it is what `T` is there, in others
/// the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque<T>(pub T);

impl<T: Marshal + Serialize> Serialize for Opaque<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        serialize(&self.0, serializer)
    }
}

impl<'de, T: Marshal + Deserialize<'de>> Deserialize<'de> for Opaque<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return T::deserialize(deserializer).map(Self);
        }
        deserialize(deserializer).map(Self)
    }
}

fn serialize<T: Marshal, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let name = if value.is_zero() { Named::<T>::ZERO } else { Named::<T>::VALUE };
    serializer.serialize_newtype_struct(name, &super::Bytes(value.marshal()))
}

fn deserialize<'de, T: Marshal, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_newtype_struct(Named::<T>::VALUE, Unmarshal(PhantomData))
}

/// The names of the newtype that gob knows it by.
struct Named<T>(PhantomData<T>);

impl<T: Marshal> Named<T> {
    const VALUE: &'static str = magic::text(&magic::opaque(T::KIND, false, T::NAME));
    const ZERO: &'static str = magic::text(&magic::opaque(T::KIND, true, T::NAME));
}

struct Unmarshal<T>(PhantomData<T>);

impl<'de, T: Marshal> Visitor<'de> for Unmarshal<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bytes of a {}", T::NAME)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        if bytes.is_empty() {
            return Ok(T::default());
        }
        T::unmarshal(bytes).map_err(E::custom)
    }
}

/// `time.Time`; in JSON as RFC 3339 writes it.
impl Marshal for Time {
    const NAME: &'static str = "Time";
    const KIND: OpaqueKind = OpaqueKind::GobEncoder;

    fn marshal(&self) -> Vec<u8> {
        self.to_wire()
    }

    fn unmarshal(bytes: &[u8]) -> Result<Self, String> {
        Self::from_wire(bytes).ok_or_else(|| "Time.UnmarshalBinary: invalid bytes".to_owned())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serialize(self, serializer);
        }
        let text = self.to_rfc3339().ok_or_else(|| {
            serde::ser::Error::custom("a time's year or zone is outside of what RFC 3339 writes")
        })?;
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return deserialize(deserializer);
        }
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        // JSON-RPC gives what is missing or null as the zero of what it is written as.
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a time as RFC 3339 writes it"))
    }
}

/// `big.Int`; in JSON a number.
impl Marshal for BigInt {
    const NAME: &'static str = "Int";
    const KIND: OpaqueKind = OpaqueKind::GobEncoder;

    fn marshal(&self) -> Vec<u8> {
        self.to_wire()
    }

    /// Never: Go's programs have pointers to it, and send what they point to.
    fn is_zero(&self) -> bool {
        false
    }

    fn unmarshal(bytes: &[u8]) -> Result<Self, String> {
        Self::from_wire(bytes)
            .ok_or_else(|| "Int.GobDecode: encoding version not supported".to_owned())
    }
}

impl Serialize for BigInt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serialize(self, serializer);
        }
        if let Ok(small) = i64::try_from(i128::try_from(self).unwrap_or(i128::MAX)) {
            return serializer.serialize_i64(small);
        }
        let digits = self.to_decimal().and_then(|digits| RawValue::from_string(digits).ok());
        digits
            .ok_or_else(|| serde::ser::Error::custom("an integer is too large for JSON"))?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BigInt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return deserialize(deserializer);
        }
        let number = <Box<RawValue>>::deserialize(deserializer)?;
        if number.get() == "null" {
            return Ok(Self::default());
        }
        Self::parse(number.get()).ok_or_else(|| de::Error::custom("not an integer"))
    }
}
