//! Values that are passed over, or on to another stream.

use super::num::{
    bytes, int, length, next_field, put_bytes, put_int, put_sized, put_uint, singleton, uint,
};
use super::{Corrupt, Type, TypeId, Types};

/// Passes over a value.
pub(super) fn skip(
    types: &Types,
    id: TypeId,
    input: &mut &[u8],
    depth: usize,
) -> Result<(), Corrupt> {
    let deeper = || depth.checked_sub(1).ok_or(Corrupt::Nesting);
    match types.get(id).ok_or(Corrupt::UnknownType)? {
        Type::Bool | Type::Int | Type::Uint | Type::Float => {
            uint(input)?;
        }
        Type::Complex => {
            uint(input)?;
            uint(input)?;
        }
        Type::Bytes | Type::String | Type::Opaque { .. } => {
            bytes(input)?;
        }
        Type::Array { elem, .. } | Type::Slice { elem, .. } => {
            let depth = deeper()?;
            for _ in 0..length(input)? {
                skip(types, *elem, input, depth)?;
            }
        }
        Type::Map { key, elem, .. } => {
            let depth = deeper()?;
            for _ in 0..length(input)? {
                skip(types, *key, input, depth)?;
                skip(types, *elem, input, depth)?;
            }
        }
        Type::Struct { fields, .. } => {
            let depth = deeper()?;
            let mut at = 0;
            while let Some(field) = next_field(input, &mut at)? {
                let field = fields.get(field).ok_or(Corrupt::Field)?;
                skip(types, field.id, input, depth)?;
            }
        }
        Type::Interface => {
            if !bytes(input)?.is_empty() {
                int(input)?;
                bytes(input)?;
            }
        }
    }
    Ok(())
}

/// Copies a value. The numbers of types that stand in it, in interfaces, are replaced by what `number`
/// makes of them.
pub(super) fn copy<E: From<Corrupt>>(
    types: &Types,
    id: TypeId,
    input: &mut &[u8],
    out: &mut Vec<u8>,
    depth: usize,
    number: &mut dyn FnMut(TypeId) -> Result<TypeId, E>,
) -> Result<(), E> {
    let deeper = || depth.checked_sub(1).ok_or(Corrupt::Nesting);
    match types.get(id).ok_or(Corrupt::UnknownType)? {
        Type::Array { elem, .. } | Type::Slice { elem, .. } => {
            let (depth, len) = (deeper()?, length(input)?);
            put_uint(out, len as u64);
            for _ in 0..len {
                copy(types, *elem, input, out, depth, number)?;
            }
        }
        Type::Map { key, elem, .. } => {
            let (depth, len) = (deeper()?, length(input)?);
            put_uint(out, len as u64);
            for _ in 0..len {
                copy(types, *key, input, out, depth, number)?;
                copy(types, *elem, input, out, depth, number)?;
            }
        }
        Type::Struct { fields, .. } => {
            let depth = deeper()?;
            let (mut at, mut last) = (0, 0);
            while let Some(field) = next_field(input, &mut at)? {
                let field = fields.get(field).ok_or(Corrupt::Field)?;
                put_uint(out, (at - last) as u64);
                last = at;
                copy(types, field.id, input, out, depth, number)?;
            }
            out.push(0);
        }
        Type::Interface => {
            // It is no level: what it holds is, unless nothing else is in that.
            let name = bytes(input)?;
            put_bytes(out, name);
            if !name.is_empty() {
                let held = Held::read(types, input)?;
                put_int(out, i64::from(number(held.id)?.0));
                let mut rest = held.bytes;
                put_sized(out, |out| {
                    if !held.is_struct {
                        out.push(0);
                    }
                    copy(types, held.id, &mut rest, out, depth, number)
                })?;
                if !rest.is_empty() {
                    return Err(Corrupt::Interface.into());
                }
            }
        }
        _ => {
            let from = *input;
            skip(types, id, input, depth)?;
            out.extend_from_slice(&from[..from.len() - input.len()]);
        }
    }
    Ok(())
}

/// What an interface holds, after its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) id: TypeId,
    /// Whether it is a struct: a zero stands before all others.
    pub(super) is_struct: bool,
    /// The value, without that zero.
    pub(super) bytes: &'a [u8],
}

impl<'a> Held<'a> {
    pub(super) fn read(types: &Types, input: &mut &'a [u8]) -> Result<Self, Corrupt> {
        let id = TypeId::from_wire(int(input)?).ok_or(Corrupt::UnknownType)?;
        let kind = types.get(id).ok_or(Corrupt::UnknownType)?;
        // So that values nest no deeper than there are levels, of which an interface is none.
        if *kind == Type::Interface {
            return Err(Corrupt::Interface);
        }
        let is_struct = kind.is_struct();
        let mut held = bytes(input)?;
        if !is_struct {
            singleton(&mut held)?;
        }
        Ok(Self { id, is_struct, bytes: held })
    }
}
