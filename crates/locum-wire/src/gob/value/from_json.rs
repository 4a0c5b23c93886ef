//! JSON, made into values.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::json::Json;
use super::opaque::Known;
use super::shape::{Number, Shaper};
use super::{Interface, JsonError, Typed, Value};
use crate::gob::{Type, TypeId, Types};
use crate::rpc::Limits;

pub(super) fn from_json(
    text: &str,
    hint: Option<(&Arc<Types>, TypeId)>,
    limits: &Limits,
) -> Result<Typed, JsonError> {
    typed(Json::parse(text, limits)?, hint, limits)
}

pub(super) fn from_params(
    params: &str,
    hint: Option<(&Arc<Types>, TypeId)>,
    limits: &Limits,
) -> Result<Typed, JsonError> {
    // The array itself is no level of any argument.
    let limits = Limits { nesting: limits.nesting.saturating_add(1), ..*limits };
    let json = match Json::parse(params, &limits)? {
        Json::List(mut params) if params.len() < 2 => params.pop().unwrap_or(Json::Null),
        Json::List(params) => by_position(params, hint)?,
        other => other,
    };
    typed(json, hint, &limits)
}

/// Several arguments, called as the fields of the struct that the hint is.
fn by_position<'a>(
    params: Vec<Json<'a>>,
    hint: Option<(&Arc<Types>, TypeId)>,
) -> Result<Json<'a>, JsonError> {
    let kind = hint.and_then(|(types, id)| types.get(id));
    let Some(kind @ Type::Struct { fields, .. }) = kind else {
        return Ok(Json::List(params));
    };
    if params.len() > fields.len() {
        let (given, taken) = (params.len(), fields.len());
        return Err(JsonError(format!("{given} arguments, but {} has {taken} fields", said(kind))));
    }
    let names = fields.iter().map(|field| field.name.to_string().into());
    Ok(Json::Object(names.zip(params).collect()))
}

fn typed(
    json: Json<'_>,
    hint: Option<(&Arc<Types>, TypeId)>,
    limits: &Limits,
) -> Result<Typed, JsonError> {
    let (types, hint) =
        hint.map_or_else(Default::default, |(types, id)| (Arc::clone(types), Some(id)));
    let mut shaper = Shaper::new(types, limits);
    // What takes no argument is given an empty struct.
    let json = if hint.is_none() && json == Json::Null { Json::Object(Vec::new()) } else { json };
    let id = shaper.type_of(&json, hint)?.ok_or_else(|| {
        JsonError("an empty JSON array does not say what it would hold: name its type".to_owned())
    })?;
    let types = Arc::clone(&shaper.types);
    let mut maker =
        Maker { types: &types, shaper, nesting: limits.nesting, memory: limits.decoded };
    let value = maker.value(&json, id)?;
    Ok(Typed { types, id, value })
}

/// Makes values of types that have been found to fit.
struct Maker<'a> {
    types: &'a Types,
    /// Knows the fields by name.
    shaper: Shaper,
    nesting: usize,
    /// How many bytes more may be taken by what JSON does not even say: the rest of arrays.
    memory: usize,
}

impl Maker<'_> {
    fn value(&mut self, json: &Json<'_>, id: TypeId) -> Result<Value, JsonError> {
        let types = self.types;
        let kind = types.get(id).ok_or_else(undefined)?;
        if *json == Json::Null {
            return self.zero(kind, self.nesting);
        }
        let no = |why: &str| Err(JsonError(format!("{} is no {}{why}", shown(json), said(kind))));
        Ok(match (kind, json) {
            (Type::Bool, Json::Bool(value)) => Value::Bool(*value),
            (Type::Int, Json::Number(text)) => match text.parse() {
                Ok(value) => Value::Int(value),
                Err(_) => return no(" of 64 bits"),
            },
            (Type::Uint, Json::Number(text)) => match text.parse() {
                Ok(value) => Value::Uint(value),
                Err(_) => return no(" of 64 bits"),
            },
            (Type::Float, Json::Number(text)) => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Value::Float(value),
                _ => return no(" of 64 bits"),
            },
            (Type::String, Json::String(text)) => Value::String(text.as_bytes().to_vec()),
            (Type::Bytes, Json::String(text)) => match STANDARD.decode(&**text) {
                Ok(bytes) => Value::Bytes(bytes),
                Err(_) => return no(" in base64"),
            },
            (Type::Opaque { .. }, Json::String(text)) => {
                let bytes = match Known::of_text(kind, text) {
                    Some((_, bytes)) => bytes,
                    None => STANDARD.decode(&**text).ok(),
                };
                match bytes {
                    Some(bytes) => Value::Opaque(bytes),
                    None => return no(""),
                }
            }
            (Type::Opaque { .. }, Json::Number(text)) => match Known::of_text(kind, text) {
                Some((Known::BigInt, Some(bytes))) => Value::Opaque(bytes),
                _ => return no(""),
            },
            (Type::Interface, _) => interface(json)?,
            (Type::Slice { elem, .. }, Json::List(list)) => Value::List(
                list.iter().map(|json| self.value(json, *elem)).collect::<Result<_, _>>()?,
            ),
            (Type::Array { elem, len, .. }, Json::List(list)) => {
                let missing = len.checked_sub(list.len() as u64);
                let Some(missing) = missing else {
                    return no(&format!(" of {len}"));
                };
                let mut values = Vec::new();
                for json in list {
                    values.push(self.value(json, *elem)?);
                }
                self.pad(*elem, missing, self.nesting, &mut values)?;
                Value::List(values)
            }
            (Type::Map { key, elem, .. }, Json::Object(members)) => {
                let mut pairs = Vec::with_capacity(members.len());
                for (name, json) in members {
                    pairs.push((self.key(name, *key)?, self.value(json, *elem)?));
                }
                Value::Map(pairs)
            }
            (Type::Struct { fields, .. }, Json::Object(members)) => {
                let mut values = Vec::with_capacity(members.len());
                for (name, json) in members {
                    // A field that is not part of the type is one that says nothing.
                    let Some(index) = self.shaper.field(id, name) else {
                        continue;
                    };
                    let value = match json {
                        Json::Null => None,
                        _ => Some(self.value(json, fields[index].id)?),
                    };
                    values.push((index, value));
                }
                // The last of those with one name is the one.
                values.reverse();
                values.sort_by_key(|(index, _)| *index);
                values.dedup_by_key(|(index, _)| *index);
                let there = values.into_iter().filter_map(|(index, value)| {
                    let value = value?;
                    let kind = types.get(fields[index].id)?;
                    (!left_out(kind, &value)).then_some((index, value))
                });
                Value::Struct(there.collect())
            }
            _ => return no(""),
        })
    }

    fn key(&self, name: &str, id: TypeId) -> Result<Value, JsonError> {
        let kind = self.types.get(id);
        let value = match kind {
            Some(Type::String) => Some(Value::String(name.as_bytes().to_vec())),
            Some(Type::Int) => name.parse().ok().map(Value::Int),
            Some(Type::Uint) => name.parse().ok().map(Value::Uint),
            Some(Type::Float) => {
                name.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Float)
            }
            Some(Type::Bool) => name.parse().ok().map(Value::Bool),
            Some(kind) => {
                Known::of_text(kind, name).and_then(|(_, bytes)| bytes).map(Value::Opaque)
            }
            None => None,
        };
        value.ok_or_else(|| {
            JsonError(format!(
                "the key {name:?} is no {}",
                kind.map_or("known type", |kind| said(kind))
            ))
        })
    }

    /// What stands where nothing is said.
    fn zero(&mut self, kind: &Type, nesting: usize) -> Result<Value, JsonError> {
        Ok(match kind {
            Type::Bool => Value::Bool(false),
            Type::Int => Value::Int(0),
            Type::Uint => Value::Uint(0),
            Type::Float => Value::Float(0.0),
            Type::Complex => Value::Complex(0.0, 0.0),
            Type::Bytes => Value::Bytes(Vec::new()),
            Type::String => Value::String(Vec::new()),
            Type::Interface => Value::Nil,
            Type::Slice { .. } => Value::List(Vec::new()),
            Type::Map { .. } => Value::Map(Vec::new()),
            Type::Struct { .. } => Value::Struct(Vec::new()),
            Type::Opaque { .. } => {
                Value::Opaque(Known::of(kind).map(Known::zero).unwrap_or_default())
            }
            Type::Array { elem, len, .. } => {
                let mut values = Vec::new();
                self.pad(*elem, *len, nesting, &mut values)?;
                Value::List(values)
            }
        })
    }

    /// So many zeros at the end of an array.
    fn pad(
        &mut self,
        elem: TypeId,
        count: u64,
        nesting: usize,
        values: &mut Vec<Value>,
    ) -> Result<(), JsonError> {
        let kind = self.types.get(elem).ok_or_else(undefined)?;
        let count = usize::try_from(count).ok();
        let memory = count
            .and_then(|count| count.checked_mul(size_of::<Value>()))
            .and_then(|bytes| self.memory.checked_sub(bytes));
        let (Some(count), Some(memory), Some(nesting)) = (count, memory, nesting.checked_sub(1))
        else {
            return Err(JsonError("the array takes too much memory".to_owned()));
        };
        self.memory = memory;
        for _ in 0..count {
            values.push(self.zero(kind, nesting)?);
        }
        Ok(())
    }
}

/// In Go's default registered names: an interface's value has to bring one.
fn interface(json: &Json<'_>) -> Result<Value, JsonError> {
    let (name, id, value) = match json {
        Json::Bool(value) => ("bool", TypeId::BOOL, Value::Bool(*value)),
        Json::String(text) => ("string", TypeId::STRING, Value::String(text.as_bytes().to_vec())),
        Json::Number(text) => match Number::of(text)? {
            Number::Int(value) => ("int", TypeId::INT, Value::Int(value)),
            Number::Uint(value) => ("uint", TypeId::UINT, Value::Uint(value)),
            Number::Float(value) => ("float64", TypeId::FLOAT, Value::Float(value)),
        },
        _ => {
            return Err(JsonError(format!(
                "{} does not say under which name an interface holds it",
                shown(json)
            )));
        }
    };
    Ok(Value::Interface(Box::new(Interface { name: name.into(), id, value })))
}

/// Whether Go leaves a field out of a struct: what is zero, but no structs, arrays and maps.
fn left_out(kind: &Type, value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::Complex(real, imaginary) => *real == 0.0 && *imaginary == 0.0,
        Value::Bytes(bytes) | Value::String(bytes) => bytes.is_empty(),
        Value::Opaque(bytes) => Known::of(kind).is_some_and(|known| known.zero() == *bytes),
        Value::List(values) => values.is_empty() && matches!(kind, Type::Slice { .. }),
        Value::Nil => true,
        Value::Map(_) | Value::Struct(_) | Value::Interface(_) => false,
    }
}

fn undefined() -> JsonError {
    JsonError("the type is not defined".to_owned())
}

/// JSON, for an error.
fn shown(json: &Json<'_>) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(text) if text.len() > 40 => "a number".to_owned(),
        Json::Number(text) => (*text).to_owned(),
        Json::String(text) if text.len() > 40 => "a string".to_owned(),
        Json::String(text) => format!("{text:?}"),
        Json::List(_) => "an array".to_owned(),
        Json::Object(_) => "an object".to_owned(),
    }
}

/// A type, for an error.
fn said(kind: &Type) -> &str {
    match kind {
        Type::Array { .. } => "array",
        Type::Slice { .. } => "list",
        Type::Map { .. } => "map",
        Type::Struct { name, .. } if name.is_empty() => "struct",
        _ => kind.name(),
    }
}
