//! Which type JSON has, where nobody has said it, or not all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::JsonError;
use super::json::Json;
use crate::gob::{Field, Type, TypeId, Types};
use crate::rpc::Limits;

/// Finds types, and makes those that there are not.
pub(super) struct Shaper {
    pub(super) types: Arc<Types>,
    /// The fields of structs by their names.
    fields: FxHashMap<TypeId, Names>,
    most_fields: usize,
    /// How much may still be copied of types that JSON has more of than they.
    copies: usize,
}

/// The fields of a struct, by their names as they stand and in lower case.
#[derive(Default)]
struct Names {
    exact: FxHashMap<Box<str>, usize>,
    folded: FxHashMap<String, usize>,
}

/// A type that is being found.
enum Shape {
    /// Of `null`, or an empty array: nothing is known.
    Nothing,
    /// One that there is.
    There(TypeId),
    /// A number.
    Number { negative: bool, id: TypeId },
    /// A type like this one, but for its parts; without one, a list.
    Like { like: Option<TypeId>, parts: Vec<Self> },
    /// A struct like this one, if it is like any: what JSON has differently of its fields, by their places,
    /// and what it has besides. It holds no more than JSON has said: of types only their numbers are known
    /// until all are found, as there may be many values of one that is large.
    Struct { like: Option<TypeId>, changed: BTreeMap<usize, Self>, more: BTreeMap<String, Self> },
}

impl Shaper {
    pub(super) fn new(types: Arc<Types>, limits: &Limits) -> Self {
        Self { types, fields: FxHashMap::default(), most_fields: limits.fields, copies: COPIES }
    }

    /// The type of JSON: `hint`, if there is one and it has all fields that JSON has. `None` where JSON does
    /// not say.
    pub(super) fn type_of(
        &mut self,
        json: &Json<'_>,
        hint: Option<TypeId>,
    ) -> Result<Option<TypeId>, JsonError> {
        let shape = self.shape(json, hint)?;
        self.make(shape)
    }

    /// The field of a struct that a name means.
    pub(super) fn field(&mut self, id: TypeId, name: &str) -> Option<usize> {
        let types = &self.types;
        let names = self.fields.entry(id).or_insert_with(|| {
            let mut names = Names::default();
            if let Some(Type::Struct { fields, .. }) = types.get(id) {
                for (index, field) in fields.iter().enumerate() {
                    names.exact.entry(field.name.clone()).or_insert(index);
                    names.folded.entry(field.name.to_lowercase()).or_insert(index);
                }
            }
            names
        });
        let exact = names.exact.get(name);
        exact.or_else(|| names.folded.get(&name.to_lowercase())).copied()
    }

    fn shape(&mut self, json: &Json<'_>, hint: Option<TypeId>) -> Result<Shape, JsonError> {
        let Some(id) = hint else {
            return self.guess(json);
        };
        let types = Arc::clone(&self.types);
        let Some(kind) = types.get(id) else {
            return Err(JsonError("the type is not defined".to_owned()));
        };
        let parts = match (kind, json) {
            (Type::Slice { elem, .. } | Type::Array { elem, .. }, Json::List(list)) => {
                vec![self.all(list.iter(), Some(*elem), Shape::There(*elem))?]
            }
            (Type::Map { key, elem, .. }, Json::Object(members)) => {
                let values = members.iter().map(|(_, value)| value);
                vec![Shape::There(*key), self.all(values, Some(*elem), Shape::There(*elem))?]
            }
            (Type::Struct { fields, .. }, Json::Object(members)) => {
                return self.extended(id, fields, members);
            }
            _ => return Ok(Shape::There(id)),
        };
        if parts.iter().all(|part| matches!(part, Shape::There(_))) {
            return Ok(Shape::There(id));
        }
        Ok(Shape::Like { like: hint, parts })
    }

    /// A struct's type, with the fields that it has not.
    fn extended(
        &mut self,
        id: TypeId,
        fields: &[Field],
        members: &[(std::borrow::Cow<'_, str>, Json<'_>)],
    ) -> Result<Shape, JsonError> {
        let mut changed = BTreeMap::new();
        let mut more = BTreeMap::new();
        for (name, json) in members {
            match self.field(id, name) {
                Some(index) => match self.shape(json, Some(fields[index].id))? {
                    Shape::There(_) => {}
                    shape => {
                        changed.insert(index, shape);
                    }
                },
                None => {
                    more.insert(name.to_string(), self.guess(json)?);
                }
            }
        }
        if changed.is_empty() && more.values().all(|shape| matches!(shape, Shape::Nothing)) {
            return Ok(Shape::There(id));
        }
        Ok(Shape::Struct { like: Some(id), changed, more })
    }

    fn guess(&mut self, json: &Json<'_>) -> Result<Shape, JsonError> {
        Ok(match json {
            Json::Null => Shape::Nothing,
            Json::Bool(_) => Shape::There(TypeId::BOOL),
            Json::String(_) => Shape::There(TypeId::STRING),
            Json::Number(text) => {
                let (negative, id) = match Number::of(text)? {
                    Number::Int(value) => (value < 0, TypeId::INT),
                    Number::Uint(_) => (false, TypeId::UINT),
                    Number::Float(_) => (false, TypeId::FLOAT),
                };
                Shape::Number { negative, id }
            }
            Json::List(list) => match self.all(list.iter(), None, Shape::Nothing)? {
                Shape::Nothing => Shape::Nothing,
                elem => Shape::Like { like: None, parts: vec![elem] },
            },
            Json::Object(members) => {
                let mut more = BTreeMap::new();
                for (name, json) in members {
                    more.insert(name.to_string(), self.guess(json)?);
                }
                Shape::Struct { like: None, changed: BTreeMap::new(), more }
            }
        })
    }

    /// One type for all.
    fn all<'a>(
        &mut self,
        list: impl Iterator<Item = &'a Json<'a>>,
        hint: Option<TypeId>,
        none: Shape,
    ) -> Result<Shape, JsonError> {
        let mut all = none;
        for json in list {
            let shape = self.shape(json, hint)?;
            all = self.both(all, shape)?;
        }
        Ok(all)
    }

    /// One type for two. Where there was a hint, it was the same for both.
    fn both(&self, one: Shape, other: Shape) -> Result<Shape, JsonError> {
        Ok(match (one, other) {
            (Shape::Nothing, shape) | (shape, Shape::Nothing) => shape,
            (Shape::There(one), Shape::There(other)) if one == other => Shape::There(one),
            (Shape::Number { negative: n1, id: id1 }, Shape::Number { negative: n2, id: id2 }) => {
                let negative = n1 || n2;
                let id = match (id1, id2) {
                    (TypeId::FLOAT, _) | (_, TypeId::FLOAT) => TypeId::FLOAT,
                    (TypeId::UINT, _) | (_, TypeId::UINT) if negative => TypeId::FLOAT,
                    (TypeId::UINT, _) | (_, TypeId::UINT) => TypeId::UINT,
                    _ => TypeId::INT,
                };
                Shape::Number { negative, id }
            }
            (Shape::There(id), shape @ (Shape::Like { .. } | Shape::Struct { .. }))
            | (shape @ (Shape::Like { .. } | Shape::Struct { .. }), Shape::There(id))
                if self.has_parts(id) =>
            {
                shape
            }
            (Shape::Like { like, parts: one }, Shape::Like { like: same, parts: other })
                if like == same =>
            {
                let parts = one.into_iter().zip(other);
                let parts = parts.map(|(one, other)| self.both(one, other));
                Shape::Like { like, parts: parts.collect::<Result<_, _>>()? }
            }
            (
                Shape::Struct { like, mut changed, mut more },
                Shape::Struct { changed: also, more: others, .. },
            ) => {
                // What only one of them has differently is of its own type in the other, as far as it is there.
                for (index, other) in also {
                    let one = changed.remove(&index).unwrap_or(Shape::Nothing);
                    changed.insert(index, self.both(one, other)?);
                }
                for (name, other) in others {
                    let one = more.remove(&name).unwrap_or(Shape::Nothing);
                    more.insert(name, self.both(one, other)?);
                }
                Shape::Struct { like, changed, more }
            }
            _ => {
                return Err(JsonError(
                    "the elements of a JSON array are of different types".to_owned(),
                ));
            }
        })
    }

    /// Whether its elements or fields can be of another type where JSON has more of them.
    fn has_parts(&self, id: TypeId) -> bool {
        self.types.get(id).is_some_and(|kind| kind.inner().next().is_some() || kind.is_struct())
    }

    fn make(&mut self, shape: Shape) -> Result<Option<TypeId>, JsonError> {
        let made = match shape {
            Shape::Nothing => return Ok(None),
            Shape::There(id) | Shape::Number { id, .. } => return Ok(Some(id)),
            Shape::Like { like, parts } => {
                let mut made = Vec::with_capacity(parts.len());
                for part in parts {
                    let Some(part) = self.make(part)? else {
                        return Ok(None);
                    };
                    made.push(part);
                }
                let mut made = made.into_iter();
                self.copy(like)?.map_inner(|id| made.next().unwrap_or(id))
            }
            Shape::Struct { like, mut changed, more } => {
                let (name, fields) = match like.map(|id| self.copy(Some(id))).transpose()? {
                    Some(Type::Struct { name, fields }) => (name, fields.into_vec()),
                    _ => Default::default(),
                };
                let fields = fields.into_iter().enumerate().map(|(index, field)| {
                    (field.name, changed.remove(&index).unwrap_or(Shape::There(field.id)))
                });
                let more = more.into_iter().map(|(name, shape)| (name.into_boxed_str(), shape));
                let mut made = Vec::with_capacity(fields.len() + more.len());
                for (name, shape) in fields.chain(more) {
                    if let Some(id) = self.make(shape)? {
                        made.push(Field { name, id });
                    }
                }
                if made.len() > self.most_fields {
                    return Err(JsonError("a JSON object has too many fields".to_owned()));
                }
                Type::Struct { name, fields: made.into() }
            }
        };
        if self.types.len() >= Types::MOST {
            return Err(too_many());
        }
        Ok(Some(Arc::make_mut(&mut self.types).add(made)))
    }

    /// A type that another is made after; a list, if there is none.
    fn copy(&mut self, id: Option<TypeId>) -> Result<Type, JsonError> {
        let Some(kind) = id.and_then(|id| self.types.get(id)) else {
            return Ok(Type::Slice { name: Box::default(), elem: TypeId::INTERFACE });
        };
        self.copies = self.copies.checked_sub(kind.weight()).ok_or_else(too_many)?;
        Ok(kind.clone())
    }
}

fn too_many() -> JsonError {
    JsonError("JSON has too many different objects".to_owned())
}

/// Bytes of descriptions that one JSON text has copied, about. Each object that is not of the type that it
/// should be may need a type of its own, as large as that.
const COPIES: usize = 1024 * 1024;

/// A number, by how it is written.
pub(super) enum Number {
    Int(i64),
    /// Too large for an int.
    Uint(u64),
    /// With a point or an exponent.
    Float(f64),
}

impl Number {
    pub(super) fn of(text: &str) -> Result<Self, JsonError> {
        let number = if text.contains(['.', 'e', 'E']) {
            text.parse().ok().filter(|value: &f64| value.is_finite()).map(Self::Float)
        } else {
            let int = text.parse().ok().map(Self::Int);
            int.or_else(|| text.parse().ok().map(Self::Uint))
        };
        number.ok_or_else(|| JsonError(format!("the number {text:.40} is too large for 64 bits")))
    }
}
