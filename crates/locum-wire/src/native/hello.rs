//! What each side says first.

use super::field::{self, Fields};
use crate::rpc::Fatal;

/// What a native stream begins with, in both directions. Nothing else that a port may be asked for
/// begins so: as the length of a gob message `f1` would announce fifteen bytes of number, and no text in
/// ASCII or UTF-8 has it before a letter.
pub const MAGIC: [u8; 6] = *b"\xf1Locum";

/// The version of the protocol.
pub const VERSION: u8 = 1;

/// The longest part of a hello that later versions may add to.
const LONGEST: usize = 127;

/// Magic, version, and one byte of what this side offers beyond the version: nothing.
pub(super) fn write(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    out.push(1);
    field::put_number(out, 0);
}

/// How many bytes the hello at the beginning of `input` has, once all of it is there.
pub(super) fn read(input: &[u8]) -> Result<Option<usize>, Fatal> {
    if !MAGIC.iter().zip(input).all(|(magic, byte)| magic == byte) {
        return Err(Fatal(
            "native: the stream does not begin with the protocol's magic".to_owned(),
        ));
    }
    let Some((version, rest)) = input.get(MAGIC.len()..).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    if *version != VERSION {
        let text = format!(
            "native: the peer speaks version {version} of the protocol, this side {VERSION}"
        );
        return Err(Fatal(text));
    }
    let Some((length, rest)) = rest.split_first() else { return Ok(None) };
    let length = usize::from(*length);
    if length > LONGEST {
        return Err(Fatal(format!("native: a hello of {length} bytes")));
    }
    let Some(offers) = rest.get(..length) else { return Ok(None) };
    // What the peer offers beyond the version is for those who know of it.
    Fields::new(offers).number().map_err(|error| error.within("HELLO"))?;
    Ok(Some(MAGIC.len() + 2 + length))
}
