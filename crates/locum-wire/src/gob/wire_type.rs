//! How types are described on the wire.
//!
//! A description is itself a gob value, of the type `wireType` (encoding/gob/type.go), which every
//! gob knows:
//!
//! ```text
//! type wireType struct {
//!     ArrayT struct { CommonType; Elem typeId; Len int }
//!     SliceT struct { CommonType; Elem typeId }
//!     StructT struct { CommonType; Field []fieldType }
//!     MapT struct { CommonType; Key, Elem typeId }
//!     GobEncoderT, BinaryMarshalerT, TextMarshalerT struct { CommonType }
//! }
//! type CommonType struct { Name string; Id typeId }
//! type fieldType struct { Name string; Id typeId }
//! ```

use super::num::{int, length, next_field, put_bytes, put_int, put_sized, put_uint, text};
use super::{Corrupt, Field, OpaqueKind, Type, TypeId};

/// Reads one description.
pub(super) fn read(input: &mut &[u8], most_fields: usize) -> Result<Type, Corrupt> {
    let mut at = 0;
    let variant = next_field(input, &mut at)?.ok_or(Corrupt::Description)?;
    let described = match variant {
        0 => array(input)?,
        1 => slice(input)?,
        2 => structure(input, most_fields)?,
        3 => map(input)?,
        4 => opaque(input, OpaqueKind::GobEncoder)?,
        5 => opaque(input, OpaqueKind::BinaryMarshaler)?,
        6 => opaque(input, OpaqueKind::TextMarshaler)?,
        _ => return Err(Corrupt::Description),
    };
    // One type cannot be two things.
    match next_field(input, &mut at)? {
        None => Ok(described),
        Some(_) => Err(Corrupt::Description),
    }
}

fn array(input: &mut &[u8]) -> Result<Type, Corrupt> {
    let (mut name, mut elem, mut len) = (Box::default(), None, 0);
    let mut at = 0;
    while let Some(field) = next_field(input, &mut at)? {
        match field {
            0 => name = common(input)?,
            1 => elem = Some(reference(input)?),
            2 => len = u64::try_from(int(input)?).map_err(|_| Corrupt::Description)?,
            _ => return Err(Corrupt::Description),
        }
    }
    Ok(Type::Array { name, elem: elem.ok_or(Corrupt::Description)?, len })
}

fn slice(input: &mut &[u8]) -> Result<Type, Corrupt> {
    let (mut name, mut elem) = (Box::default(), None);
    let mut at = 0;
    while let Some(field) = next_field(input, &mut at)? {
        match field {
            0 => name = common(input)?,
            1 => elem = Some(reference(input)?),
            _ => return Err(Corrupt::Description),
        }
    }
    Ok(Type::Slice { name, elem: elem.ok_or(Corrupt::Description)? })
}

fn map(input: &mut &[u8]) -> Result<Type, Corrupt> {
    let (mut name, mut key, mut elem) = (Box::default(), None, None);
    let mut at = 0;
    while let Some(field) = next_field(input, &mut at)? {
        match field {
            0 => name = common(input)?,
            1 => key = Some(reference(input)?),
            2 => elem = Some(reference(input)?),
            _ => return Err(Corrupt::Description),
        }
    }
    let (Some(key), Some(elem)) = (key, elem) else {
        return Err(Corrupt::Description);
    };
    Ok(Type::Map { name, key, elem })
}

fn structure(input: &mut &[u8], most_fields: usize) -> Result<Type, Corrupt> {
    let (mut name, mut fields) = (Box::default(), Vec::new());
    let mut at = 0;
    while let Some(field) = next_field(input, &mut at)? {
        match field {
            0 => name = common(input)?,
            1 => {
                let count = length(input)?;
                if count > most_fields {
                    return Err(Corrupt::Fields);
                }
                fields.reserve_exact(count);
                for _ in 0..count {
                    let (name, id) = named(input)?;
                    fields.push(Field { name, id: id.ok_or(Corrupt::Description)? });
                }
            }
            _ => return Err(Corrupt::Description),
        }
    }
    Ok(Type::Struct { name, fields: fields.into() })
}

fn opaque(input: &mut &[u8], kind: OpaqueKind) -> Result<Type, Corrupt> {
    let mut name = Box::default();
    let mut at = 0;
    while let Some(field) = next_field(input, &mut at)? {
        match field {
            0 => name = common(input)?,
            _ => return Err(Corrupt::Description),
        }
    }
    Ok(Type::Opaque { name, kind })
}

/// A `CommonType`. Its id only says again what stands before the description, and Go ignores it too.
fn common(input: &mut &[u8]) -> Result<Box<str>, Corrupt> {
    Ok(named(input)?.0)
}

/// A `CommonType` or a `fieldType`.
fn named(input: &mut &[u8]) -> Result<(Box<str>, Option<TypeId>), Corrupt> {
    let (mut name, mut id) = (Box::default(), None);
    let mut at = 0;
    while let Some(field) = next_field(input, &mut at)? {
        match field {
            0 => name = text(input)?.into(),
            1 => id = Some(reference(input)?),
            _ => return Err(Corrupt::Description),
        }
    }
    Ok((name, id))
}

/// The number of a type, which need not be defined yet.
fn reference(input: &mut &[u8]) -> Result<TypeId, Corrupt> {
    TypeId::from_wire(int(input)?).ok_or(Corrupt::Description)
}

/// Appends a message that describes `kind`, and gives it the number `id`; what it is made of has those that
/// `number` gives.
pub(super) fn put(out: &mut Vec<u8>, id: TypeId, kind: &Type, number: impl Fn(TypeId) -> TypeId) {
    let Ok(()) = put_sized::<std::convert::Infallible>(out, |out| {
        put_int(out, -i64::from(id.0));
        put_type(out, id, kind, number);
        Ok(())
    });
}

fn put_type(out: &mut Vec<u8>, id: TypeId, kind: &Type, number: impl Fn(TypeId) -> TypeId) {
    let variant = match kind {
        Type::Array { .. } => 0,
        Type::Slice { .. } => 1,
        Type::Struct { .. } => 2,
        Type::Map { .. } => 3,
        Type::Opaque { kind: OpaqueKind::GobEncoder, .. } => 4,
        Type::Opaque { kind: OpaqueKind::BinaryMarshaler, .. } => 5,
        Type::Opaque { kind: OpaqueKind::TextMarshaler, .. } => 6,
        _ => unreachable!("what has a number everywhere is not described"),
    };
    put_uint(out, variant + 1);
    put_uint(out, 1);
    put_named(out, kind.name(), id);
    match kind {
        Type::Array { elem, len, .. } => {
            put_uint(out, 1);
            put_int(out, i64::from(number(*elem).0));
            if *len > 0 {
                put_uint(out, 1);
                put_int(out, i64::try_from(*len).unwrap_or(i64::MAX));
            }
        }
        Type::Slice { elem, .. } => {
            put_uint(out, 1);
            put_int(out, i64::from(number(*elem).0));
        }
        Type::Map { key, elem, .. } => {
            for id in [key, elem] {
                put_uint(out, 1);
                put_int(out, i64::from(number(*id).0));
            }
        }
        Type::Struct { fields, .. } if !fields.is_empty() => {
            put_uint(out, 1);
            put_uint(out, fields.len() as u64);
            for field in fields {
                put_named(out, &field.name, number(field.id));
            }
        }
        _ => {}
    }
    put_uint(out, 0);
    put_uint(out, 0);
}

/// A `CommonType` or a `fieldType`.
fn put_named(out: &mut Vec<u8>, name: &str, id: TypeId) {
    if name.is_empty() {
        put_uint(out, 2);
    } else {
        put_uint(out, 1);
        put_bytes(out, name.as_bytes());
        put_uint(out, 1);
    }
    put_int(out, i64::from(id.0));
    put_uint(out, 0);
}
