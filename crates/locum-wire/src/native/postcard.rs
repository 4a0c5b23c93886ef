//! Values by postcard: <https://postcard.jamesmunns.com/wire-format>.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rpc::{DecodeError, EncodeError};

/// Reads a `T` from all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError(format!("postcard: {} bytes too many", rest.len()))),
        Err(error) => Err(DecodeError(format!("postcard: {error}"))),
    }
}

/// Writes `value` at the end of `out`. After an error a part of it may be there.
pub(super) fn encode<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), EncodeError> {
    postcard::serialize_with_flavor(value, Append(out))
        .map_err(|error| EncodeError(format!("postcard: {error}")))
}

struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
