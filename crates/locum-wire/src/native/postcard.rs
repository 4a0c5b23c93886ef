//! Values by postcard: <https://postcard.jamesmunns.com/wire-format>.
//!
//! They are written by the crate of that name, and read by a reader of our own, because what is read
//! comes from a network: that of the crate follows nested values until the stack is used up, and counts
//! out as many elements of no bytes as somebody cares to announce.

use ::postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::read::Reader;
use crate::rpc::{DecodeError, EncodeError};

mod read;

/// Reads a `T` from all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let read = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| DecodeError(format!("postcard: {error}")))
}

/// Writes `value` at the end of `out`. After an error a part of it may be there.
pub(super) fn encode<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), EncodeError> {
    ::postcard::serialize_with_flavor(value, Append(out))
        .map_err(|error| EncodeError(format!("postcard: {error}")))
}

/// Where the crate writes to.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> ::postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> ::postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> ::postcard::Result<()> {
        Ok(())
    }
}
