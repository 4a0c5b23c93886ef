//! Values, written as gob.

use super::{Typed, Value};
use crate::gob::copy::copy;
use crate::gob::num::{put_bytes, put_float, put_int, put_sized, put_uint};
use crate::gob::{Corrupt, Encoder, Raw, Type, TypeId, Types};
use crate::rpc::{EncodeError, Limits};

impl Encoder {
    /// Appends definitions that the stream lacks, and the value.
    ///
    /// # Errors
    ///
    /// The value is not of the type that it is said to be; nothing was appended.
    pub fn put(&mut self, out: &mut Vec<u8>, typed: &Typed) -> Result<(), EncodeError> {
        self.put_within(out, typed, &Limits::NONE)
    }

    /// The same, unless the stream's peer, who has these limits, would not take so many definitions.
    ///
    /// # Errors
    ///
    /// As above, or there would be too many; nothing was appended.
    pub fn put_within(
        &mut self,
        out: &mut Vec<u8>,
        typed: &Typed,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        let Typed { types, id, value } = typed;
        self.dynamic(out, types, *id, limits, |encoder, out, _| {
            Writer { types, encoder, limits }.value(out, *id, value)
        })
    }

    /// Appends definitions that the stream lacks, and a value of another stream. Unless there are interfaces in
    /// it, nobody looks at the value.
    ///
    /// # Errors
    ///
    /// The value is malformed, or the stream's peer, who has the same limits, would not take so many
    /// definitions; nothing was appended.
    pub fn copy(
        &mut self,
        out: &mut Vec<u8>,
        raw: &Raw<'_>,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        let Raw { types, id, mut bytes } = *raw;
        self.dynamic(out, types, id, limits, |encoder, out, number| {
            if !encoder.has_interface(number) {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            let mut define = |id| encoder.define_within(types, id, limits);
            copy(types, id, &mut bytes, out, limits.nesting, &mut define)?;
            if bytes.is_empty() { Ok(()) } else { Err(Corrupt::Long) }
        })
    }

    /// Appends definitions, a message's length, its type, and what `write` does, which is told the type's
    /// number.
    fn dynamic(
        &mut self,
        out: &mut Vec<u8>,
        types: &Types,
        id: TypeId,
        limits: &Limits,
        write: impl FnOnce(&mut Self, &mut Vec<u8>, TypeId) -> Result<(), Corrupt>,
    ) -> Result<(), EncodeError> {
        let written = self.message(out, 1, |encoder, out| {
            let number = encoder.define_within(types, id, limits)?;
            put_int(out, i64::from(number.0));
            if !types.get(id).is_some_and(Type::is_struct) {
                put_uint(out, 0);
            }
            write(encoder, out, number)
        });
        written.map(|_| ()).map_err(|corrupt| EncodeError(corrupt.to_string()))
    }
}

struct Writer<'a> {
    types: &'a Types,
    encoder: &'a mut Encoder,
    limits: &'a Limits,
}

impl Writer<'_> {
    fn value(&mut self, out: &mut Vec<u8>, id: TypeId, value: &Value) -> Result<(), Corrupt> {
        let types = self.types;
        match (types.get(id).ok_or(Corrupt::UnknownType)?, value) {
            (Type::Bool, Value::Bool(value)) => put_uint(out, u64::from(*value)),
            (Type::Int, Value::Int(value)) => put_int(out, *value),
            (Type::Uint, Value::Uint(value)) => put_uint(out, *value),
            (Type::Float, Value::Float(value)) => put_float(out, *value),
            (Type::Complex, Value::Complex(real, imaginary)) => {
                put_float(out, *real);
                put_float(out, *imaginary);
            }
            (Type::Bytes, Value::Bytes(bytes))
            | (Type::String, Value::String(bytes))
            | (Type::Opaque { .. }, Value::Opaque(bytes)) => put_bytes(out, bytes),
            (Type::Interface, Value::Nil) => put_uint(out, 0),
            (Type::Interface, Value::Interface(interface)) => {
                put_bytes(out, interface.name.as_bytes());
                let number = self.encoder.define_within(types, interface.id, self.limits)?;
                put_int(out, i64::from(number.0));
                put_sized(out, |out| {
                    if !types.get(interface.id).is_some_and(Type::is_struct) {
                        put_uint(out, 0);
                    }
                    self.value(out, interface.id, &interface.value)
                })?;
            }
            (Type::Array { len, .. }, Value::List(values)) if values.len() as u64 != *len => {
                return Err(Corrupt::Array);
            }
            (Type::Slice { elem, .. } | Type::Array { elem, .. }, Value::List(values)) => {
                put_uint(out, values.len() as u64);
                for value in values {
                    self.value(out, *elem, value)?;
                }
            }
            (Type::Map { key, elem, .. }, Value::Map(pairs)) => {
                put_uint(out, pairs.len() as u64);
                for (name, value) in pairs {
                    self.value(out, *key, name)?;
                    self.value(out, *elem, value)?;
                }
            }
            (Type::Struct { fields, .. }, Value::Struct(values)) => {
                let mut after = 0;
                for (index, value) in values {
                    let field = fields.get(*index).ok_or(Corrupt::Field)?;
                    let delta = (index + 1).checked_sub(after).filter(|delta| *delta > 0);
                    put_uint(out, delta.ok_or(Corrupt::Field)? as u64);
                    after = index + 1;
                    self.value(out, field.id, value)?;
                }
                put_uint(out, 0);
            }
            _ => return Err(Corrupt::Mismatch),
        }
        Ok(())
    }
}
