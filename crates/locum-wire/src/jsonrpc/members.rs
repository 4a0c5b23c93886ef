//! What is within arrays, objects and enums.

use std::borrow::Cow;

use serde::de::value::CowStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer as _, Visitor};
use serde::forward_to_deserialize_any;

use super::error::{Error, Struct};
use super::read::Reader;

/// The elements of an array; beyond its end zeros, if it has to have a length.
pub(super) struct Elements<'a, 'de, 'm> {
    reader: &'a mut Reader<'de, 'm>,
    /// How many are still to come, if that is known.
    left: Option<usize>,
    /// Whether there is something within the array.
    within: bool,
    begun: bool,
}

impl<'a, 'de, 'm> Elements<'a, 'de, 'm> {
    pub(super) fn of_array(
        reader: &'a mut Reader<'de, 'm>,
        length: Option<usize>,
    ) -> Result<Self, Error> {
        reader.expect(b'[')?;
        Ok(Self { reader, left: length, within: true, begun: false })
    }

    /// Those of an array that is not there.
    pub(super) fn absent(reader: &'a mut Reader<'de, 'm>, length: usize) -> Self {
        Self { reader, left: Some(length), within: false, begun: false }
    }

    /// Passes over what was not asked for.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        while self.advance()? {
            self.reader.pass()?;
        }
        Ok(())
    }

    /// Goes to the next element, or past the end.
    fn advance(&mut self) -> Result<bool, Error> {
        self.within = self.within && another(self.reader, b']', &mut self.begun)?;
        Ok(self.within)
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if let Some(left) = &mut self.left {
            let Some(fewer) = left.checked_sub(1) else { return Ok(None) };
            *left = fewer;
        }
        if self.advance()? {
            // Those of an array of known length are part of what it stands in.
            if self.left.is_none() {
                self.reader.charge(size_of::<S::Value>())?;
            }
            seed.deserialize(&mut *self.reader).map(Some)
        } else if self.left.is_some() {
            seed.deserialize(&mut Reader::absent(self.reader.missing)).map(Some)
        } else {
            Ok(None)
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

/// The members of an object, and those that have to be there although they are not.
pub(super) struct Members<'a, 'de, 'm> {
    reader: &'a mut Reader<'de, 'm>,
    /// The fields that may be meant; none for a map.
    fields: &'static [&'static str],
    within: bool,
    begun: bool,
    /// Which fields were given.
    seen: Vec<&'static str>,
    /// Where the last of each field is that may be repeated: so many bytes are left there.
    last: Vec<(&'static str, usize)>,
    /// What is left to be filled in.
    fill: std::slice::Iter<'m, super::read::Missing>,
    of: Option<Struct>,
}

impl<'a, 'de, 'm> Members<'a, 'de, 'm> {
    pub(super) fn of_object(
        reader: &'a mut Reader<'de, 'm>,
        of: Option<Struct>,
    ) -> Result<Self, Error> {
        reader.expect(b'{')?;
        let mut members = Self { within: true, ..Self::absent(reader, of) };
        members.look_ahead()?;
        Ok(members)
    }

    /// Those of an object that is not there.
    pub(super) fn absent(reader: &'a mut Reader<'de, 'm>, of: Option<Struct>) -> Self {
        let fields = of.map_or(&[][..], |of| of.fields);
        let fill = reader.missing.iter();
        Self {
            reader,
            fields,
            within: false,
            begun: false,
            seen: Vec::new(),
            last: Vec::new(),
            fill,
            of,
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), Error> {
        while self.advance()? {
            self.reader.text()?;
            self.reader.expect(b':')?;
            self.reader.pass()?;
        }
        Ok(())
    }

    /// Finds the last of each field that is known to be repeated in structs of this kind.
    fn look_ahead(&mut self) -> Result<(), Error> {
        let repeated = self.reader.repeated;
        if !repeated.iter().any(|(of, _)| Some(*of) == self.of) {
            return Ok(());
        }
        let (mut ahead, mut begun) = (Reader::new(self.reader.rest, &[]), false);
        while another(&mut ahead, b'}', &mut begun)? {
            ahead.peek()?;
            let left = ahead.rest.len();
            let name = ahead.text()?;
            ahead.expect(b':')?;
            ahead.pass()?;
            let wanted =
                |field: &&str| repeated.iter().any(|(of, it)| Some(*of) == self.of && it == field);
            if let Some(field) = self.field(&name).filter(wanted) {
                self.last.retain(|(it, _)| *it != field);
                self.last.push((field, left));
            }
        }
        // What is within others is looked at once for each that it is in; so that is limited, too.
        self.reader.charge(self.reader.rest.len() - ahead.rest.len())
    }

    fn advance(&mut self) -> Result<bool, Error> {
        self.within = self.within && another(self.reader, b'}', &mut self.begun)?;
        Ok(self.within)
    }

    /// The field that is meant by `name`: the one that is called so, or so but for case and underscores.
    fn field(&self, name: &str) -> Option<&'static str> {
        let exact = self.fields.iter().find(|field| **field == name);
        exact.or_else(|| self.fields.iter().find(|field| folded(field).eq(folded(name)))).copied()
    }
}

fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|it| *it != '_').flat_map(char::to_lowercase)
}

impl<'de> de::MapAccess<'de> for Members<'_, 'de, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        while self.advance()? {
            self.reader.peek()?;
            let left = self.reader.rest.len();
            let name = self.reader.text()?;
            self.reader.expect(b':')?;
            if self.of.is_none() {
                self.reader.charge(size_of::<S::Value>())?;
                return seed.deserialize(Key(name)).map(Some);
            }
            let Some(field) = self.field(&name) else {
                return seed.deserialize(Key(name)).map(Some);
            };
            if self.last.iter().any(|(it, last)| *it == field && *last != left) {
                self.reader.pass()?;
                continue;
            }
            self.seen.push(field);
            return seed.deserialize(Key(Cow::Borrowed(field))).map(Some);
        }
        let Some(of) = self.of else { return Ok(None) };
        let fields = of.fields;
        let seen = &self.seen;
        let wanted = |(struct_, field): &&super::read::Missing| {
            *struct_ == of && fields.contains(field) && !seen.contains(field)
        };
        match self.fill.find(wanted) {
            Some((_, field)) => seed.deserialize(Key(Cow::Borrowed(*field))).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        if self.within {
            if self.of.is_none() {
                self.reader.charge(size_of::<S::Value>())?;
            }
            seed.deserialize(&mut *self.reader)
        } else {
            seed.deserialize(&mut Reader::absent(self.reader.missing))
        }
    }
}

/// Goes to the next element or member, or past the end.
fn another(reader: &mut Reader<'_, '_>, end: u8, begun: &mut bool) -> Result<bool, Error> {
    if reader.peek()? == end {
        reader.expect(end)?;
        return Ok(false);
    }
    if std::mem::replace(begun, true) {
        reader.expect(b',')?;
    }
    Ok(true)
}

/// The name of a member, which may stand for a number: keys of maps do.
struct Key<'de>(Cow<'de, str>);

macro_rules! numbers {
    ($($deserialize:ident => $visit:ident,)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cow::Borrowed(name) => visitor.visit_borrowed_str(name),
            Cow::Owned(name) => visitor.visit_string(name),
        }
    }

    numbers! {
        deserialize_bool => visit_bool,
        deserialize_i8 => visit_i8,
        deserialize_i16 => visit_i16,
        deserialize_i32 => visit_i32,
        deserialize_i64 => visit_i64,
        deserialize_i128 => visit_i128,
        deserialize_u8 => visit_u8,
        deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32,
        deserialize_u64 => visit_u64,
        deserialize_u128 => visit_u128,
        deserialize_f32 => visit_f32,
        deserialize_f64 => visit_f64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(CowStrDeserializer::new(self.0))
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant of an enum: its name in a string, or an object with its name and its value.
pub(super) struct Variant<'a, 'de, 'm> {
    name: Cow<'de, str>,
    reader: &'a mut Reader<'de, 'm>,
    has_value: bool,
}

impl<'a, 'de, 'm> Variant<'a, 'de, 'm> {
    pub(super) fn alone(reader: &'a mut Reader<'de, 'm>) -> Result<Self, Error> {
        Ok(Self { name: reader.text()?, reader, has_value: false })
    }

    pub(super) fn with_value(reader: &'a mut Reader<'de, 'm>) -> Result<Self, Error> {
        reader.expect(b'{')?;
        reader.peek()?;
        let name = reader.text()?;
        reader.expect(b':')?;
        Ok(Self { name, reader, has_value: true })
    }
}

impl<'a, 'de, 'm> Variant<'a, 'de, 'm> {
    fn value(self) -> Result<&'a mut Reader<'de, 'm>, Error> {
        if self.has_value {
            Ok(self.reader)
        } else {
            Err(de::Error::custom("a string where an enum with a value is expected"))
        }
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = std::mem::take(&mut self.name);
        Ok((seed.deserialize(Key(name))?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.has_value { self.reader.pass().map(|_| ()) } else { Ok(()) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.value()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.value()?.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value()?.deserialize_struct("", fields, visitor)
    }
}
