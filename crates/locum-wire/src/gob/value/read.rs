//! Values, read from gob.

use super::{Interface, Value};
use crate::gob::num::{bytes, float, int, length, next_field, singleton, text, uint};
use crate::gob::{Corrupt, Type, TypeId, Types};
use crate::rpc::Limits;

/// Reads a value of a type, and has to come to the end of `input`.
pub(super) fn read(
    types: &Types,
    id: TypeId,
    input: &[u8],
    limits: &Limits,
) -> Result<Value, Corrupt> {
    let mut reader = Reader { types, rest: input, nesting: limits.nesting, memory: limits.decoded };
    let value = reader.value(id)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(Corrupt::Long) }
}

struct Reader<'a> {
    types: &'a Types,
    rest: &'a [u8],
    /// How much deeper values may nest.
    nesting: usize,
    /// How many bytes more they may take.
    memory: usize,
}

impl Reader<'_> {
    fn value(&mut self, id: TypeId) -> Result<Value, Corrupt> {
        Ok(match self.types.get(id).ok_or(Corrupt::UnknownType)? {
            Type::Bool => Value::Bool(uint(&mut self.rest)? != 0),
            Type::Int => Value::Int(int(&mut self.rest)?),
            Type::Uint => Value::Uint(uint(&mut self.rest)?),
            Type::Float => Value::Float(float(&mut self.rest)?),
            Type::Complex => Value::Complex(float(&mut self.rest)?, float(&mut self.rest)?),
            Type::Bytes => Value::Bytes(self.bytes()?),
            Type::String => Value::String(self.bytes()?),
            Type::Opaque { .. } => Value::Opaque(self.bytes()?),
            Type::Interface => self.interface()?,
            Type::Slice { elem, .. } => {
                let count = length(&mut self.rest)?;
                Value::List(self.nested(|reader| reader.elements(*elem, count))?)
            }
            Type::Array { elem, len, .. } => {
                let count = length(&mut self.rest)?;
                if count as u64 != *len {
                    return Err(Corrupt::Array);
                }
                Value::List(self.nested(|reader| reader.elements(*elem, count))?)
            }
            Type::Map { key, elem, .. } => {
                let count = length(&mut self.rest)?;
                Value::Map(self.nested(|reader| reader.pairs(*key, *elem, count))?)
            }
            Type::Struct { fields, .. } => Value::Struct(self.nested(|reader| {
                let (mut values, mut at) = (Vec::new(), 0);
                while let Some(index) = next_field(&mut reader.rest, &mut at)? {
                    let field = fields.get(index).ok_or(Corrupt::Field)?;
                    reader.take::<(usize, Value)>(1)?;
                    values.push((index, reader.value(field.id)?));
                }
                Ok(values)
            })?),
        })
    }

    fn elements(&mut self, elem: TypeId, count: usize) -> Result<Vec<Value>, Corrupt> {
        self.take::<Value>(count)?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.value(elem)?);
        }
        Ok(values)
    }

    fn pairs(
        &mut self,
        key: TypeId,
        elem: TypeId,
        count: usize,
    ) -> Result<Vec<(Value, Value)>, Corrupt> {
        self.take::<(Value, Value)>(count)?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push((self.value(key)?, self.value(elem)?));
        }
        Ok(values)
    }

    fn interface(&mut self) -> Result<Value, Corrupt> {
        let name = text(&mut self.rest)?;
        if name.is_empty() {
            return Ok(Value::Nil);
        }
        let id = TypeId::from_wire(int(&mut self.rest)?).ok_or(Corrupt::UnknownType)?;
        let kind = self.types.get(id).ok_or(Corrupt::UnknownType)?;
        if *kind == Type::Interface {
            return Err(Corrupt::Interface);
        }
        let size = length(&mut self.rest)?;
        let left = self.rest.len() - size;
        if !kind.is_struct() {
            singleton(&mut self.rest)?;
        }
        self.take::<Interface>(1)?;
        self.take::<u8>(name.len())?;
        let value = self.value(id)?;
        if self.rest.len() != left {
            return Err(Corrupt::Interface);
        }
        Ok(Value::Interface(Box::new(Interface { name: name.into(), id, value })))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Corrupt> {
        let bytes = bytes(&mut self.rest)?;
        self.take::<u8>(bytes.len())?;
        Ok(bytes.to_vec())
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Corrupt>,
    ) -> Result<T, Corrupt> {
        self.nesting = self.nesting.checked_sub(1).ok_or(Corrupt::Nesting)?;
        let value = read(self)?;
        self.nesting += 1;
        Ok(value)
    }

    /// Memory for so many.
    fn take<T>(&mut self, count: usize) -> Result<(), Corrupt> {
        let left = count.checked_mul(size_of::<T>()).and_then(|it| self.memory.checked_sub(it));
        self.memory = left.ok_or(Corrupt::Decoded)?;
        Ok(())
    }
}
