//! JSON Schemas of gob's types, as they are shown in JSON.

use std::collections::VecDeque;

use locum_wire::gob::{Field, Known, Type, TypeId, Types};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::PROBLEM;

/// Schemas of types, in which structs have names.
pub(super) struct Schemas<'a> {
    types: &'a Types,
    names: FxHashMap<TypeId, String>,
    /// How many were called the same before there were numbers.
    called: FxHashMap<String, u64>,
    /// Structs that have a name and no schema yet.
    left: VecDeque<TypeId>,
    /// How many more schemas there may be.
    room: usize,
}

/// How deep types without a name may be within each other; what is deeper may be anything. Of such types
/// some are without end, which no Go program has, but a stream can.
const NESTING: usize = 8;
/// Schemas of one document, of the largest that clients may make a proxy learn. Types that nobody has looked
/// at yet when they are all written may be anything.
const MOST: usize = 32 * 1024;
/// Letters of a component's name, before a number is added.
const NAME: usize = 64;

impl<'a> Schemas<'a> {
    pub(super) fn new(types: &'a Types) -> Self {
        let called = FxHashMap::from_iter([(PROBLEM.to_owned(), 1)]);
        Self { types, names: FxHashMap::default(), called, left: VecDeque::new(), room: MOST }
    }

    /// The schema of a type, which may refer to [components](Self::into_components).
    pub(super) fn of(&mut self, id: TypeId) -> Value {
        self.within(id, NESTING)
    }

    /// The schemas of all structs that were met, by their names.
    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut components = Map::new();
        while let Some(id) = self.left.pop_front() {
            if let Some(Type::Struct { fields, .. }) = self.types.get(id) {
                let schema = self.object(fields);
                components.insert(self.names[&id].clone(), schema);
            }
        }
        components
    }

    fn within(&mut self, id: TypeId, nesting: usize) -> Value {
        let (Some(kind), Some(nesting), Some(room)) =
            (self.types.get(id), nesting.checked_sub(1), self.room.checked_sub(1))
        else {
            return json!({});
        };
        self.room = room;
        match kind {
            Type::Bool => json!({"type": "boolean"}),
            Type::Int => json!({"type": "integer", "format": "int64"}),
            Type::Uint => json!({"type": "integer", "minimum": 0}),
            Type::Float => json!({"type": "number", "format": "double"}),
            Type::Bytes => base64(),
            Type::String => json!({"type": "string"}),
            // JSON has none, so a call with one fails.
            Type::Complex => json!({"not": {}}),
            Type::Interface => json!({}),
            Type::Array { elem, len, .. } => json!({
                "type": "array",
                "items": self.within(*elem, nesting),
                "minItems": len,
                "maxItems": len,
            }),
            Type::Slice { elem, .. } => {
                json!({"type": "array", "items": self.within(*elem, nesting)})
            }
            Type::Map { elem, .. } => {
                json!({"type": "object", "additionalProperties": self.within(*elem, nesting)})
            }
            Type::Struct { name, .. } => {
                json!({"$ref": format!("#/components/schemas/{}", self.name(id, name))})
            }
            Type::Opaque { .. } => opaque(kind),
        }
    }

    fn object(&mut self, fields: &[Field]) -> Value {
        let mut properties = Map::new();
        for field in fields {
            if self.room == 0 {
                break;
            }
            let mut schema = self.of(field.id);
            if self.types.get(field.id).is_some_and(may_be_null) {
                schema = nullable(schema);
            }
            properties.insert(field.name.to_string(), schema);
        }
        json!({"type": "object", "properties": properties})
    }

    /// What a struct is called in the document: as in Go, with a number where several are called so.
    fn name(&mut self, id: TypeId, own: &str) -> &str {
        if !self.names.contains_key(&id) {
            // OpenAPI 3.1 §4.8.7.1: the letters that names of components may have.
            let letter = |it: char| match it {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => it,
                _ => '_',
            };
            let own = if own.is_empty() { "Struct" } else { own };
            let mut name: String = own.chars().map(letter).take(NAME).collect();
            // What is numbered may be called what another is called without.
            while let Some(called) = self.called.get_mut(&name) {
                *called += 1;
                name = format!("{name}_{called}");
            }
            self.called.insert(name.clone(), 1);
            self.names.insert(id, name);
            self.left.push_back(id);
        }
        &self.names[&id]
    }
}

fn base64() -> Value {
    json!({"type": "string", "contentEncoding": "base64"})
}

fn opaque(kind: &Type) -> Value {
    match Known::of(kind) {
        Some(Known::Time) => json!({"type": "string", "format": "date-time"}),
        Some(Known::BigInt) => json!({"type": "integer"}),
        Some(Known::Url) => json!({"type": "string", "format": "uri-reference"}),
        Some(Known::Uuid) => json!({"type": "string", "format": "uuid"}),
        Some(Known::Addr | Known::AddrPort | Known::Prefix) => json!({"type": "string"}),
        // To Go a pointer's type has no name, and may be any of those.
        None if kind.name().is_empty() => json!({}),
        None => base64(),
    }
}

/// Whether a field that was left out of a struct is shown as `null`: Go's nil.
fn may_be_null(kind: &Type) -> bool {
    match kind {
        Type::Bytes
        | Type::Array { .. }
        | Type::Slice { .. }
        | Type::Map { .. }
        | Type::Struct { .. } => true,
        Type::Opaque { .. } => Known::of(kind).is_none(),
        _ => false,
    }
}

fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    } else if schema.get("$ref").is_some() {
        schema = json!({"anyOf": [schema, {"type": "null"}]});
    }
    schema
}
