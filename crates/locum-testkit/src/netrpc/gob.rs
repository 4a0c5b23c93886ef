//! Enough of gob to say anything, also what is wrong.

/// The number that Go before 1.27 gives to the first type that a stream defines.
pub const FIRST: i64 = 65;
/// The least that a type of a stream's own can have, which Go 1.27 begins with.
pub const LEAST: i64 = 64;
/// `bool`.
pub const BOOL: i64 = 1;
/// `int`.
pub const INT: i64 = 2;
/// `uint`.
pub const UINT: i64 = 3;
/// `[]byte`.
pub const BYTES: i64 = 5;
/// `string`.
pub const STRING: i64 = 6;
/// `interface{}`.
pub const INTERFACE: i64 = 8;

/// An unsigned number.
pub fn uint(value: u64) -> Vec<u8> {
    if value < 0x80 {
        return vec![value as u8];
    }
    let bytes = value.to_be_bytes();
    let zeros = value.leading_zeros() as usize / 8;
    [&[(zeros as u8).wrapping_sub(8)], &bytes[zeros..]].concat()
}

/// A number with a sign.
pub fn int(value: i64) -> Vec<u8> {
    uint(((value << 1) ^ (value >> 63)) as u64)
}

/// A string, or bytes.
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    [uint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A message of what `parts` are.
pub fn message(parts: &[&[u8]]) -> Vec<u8> {
    sized(&parts.concat())
}

/// A field of a struct, behind the one at `last`.
pub fn field(last: &mut i64, at: i64, value: &[u8]) -> Vec<u8> {
    let delta = at - *last;
    *last = at;
    [&uint(delta as u64), value].concat()
}

/// The definition of `type NAME struct`, with fields of these types.
pub fn structure(id: i64, name: &str, fields: &[(&str, i64)]) -> Vec<u8> {
    let each = fields
        .iter()
        .flat_map(|(name, id)| [&[1][..], &sized(name.as_bytes()), &[1], &int(*id), &[0]].concat());
    let each: Vec<u8> = each.collect();
    let common = [&[1][..], &sized(name.as_bytes()), &[1], &int(id), &[0]].concat();
    message(&[&int(-id), &[3, 1], &common, &[1], &uint(fields.len() as u64), &each, &[0, 0]])
}

/// The definition of `type T []E`.
pub fn slice(id: i64, element: i64) -> Vec<u8> {
    message(&[&int(-id), &[2, 1, 2], &int(id), &[0, 1], &int(element), &[0, 0]])
}

/// The definition of `type T map[K]V`.
pub fn map(id: i64, key: i64, value: i64) -> Vec<u8> {
    message(&[&int(-id), &[4, 1, 2], &int(id), &[0, 1], &int(key), &[1], &int(value), &[0, 0]])
}

/// The definition of `type T [LENGTH]E`.
pub fn array(id: i64, element: i64, length: i64) -> Vec<u8> {
    message(&[&int(-id), &[1, 1, 2], &int(id), &[0, 1], &int(element), &[1], &int(length), &[0, 0]])
}

/// Takes an unsigned number off; `None`: it is not all there.
pub fn take_uint(rest: &mut &[u8]) -> Option<u64> {
    let (&first, behind) = rest.split_first()?;
    if first < 0x80 {
        *rest = behind;
        return Some(first.into());
    }
    let (bytes, behind) = behind.split_at_checked(usize::from(first.wrapping_neg()))?;
    *rest = behind;
    Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Takes a number with a sign off.
pub fn take_int(rest: &mut &[u8]) -> Option<i64> {
    let value = take_uint(rest)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Takes a string, bytes or a message off.
pub fn take_sized(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut after = *rest;
    let length = take_uint(&mut after)?;
    let (bytes, behind) = after.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(bytes.to_vec())
}
