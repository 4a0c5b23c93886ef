//! Types of remote calls, as they are written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// What is said of methods, by `Service.Method`.
///
/// A word is the type of an argument that is no struct. A table is the fields of the argument, and under
/// `reply` the type of what is returned. With the key `args` it is the long form,
/// `{ args = …, reply = … }`, in which a field may be called `reply` as well.
pub(crate) type Types = BTreeMap<String, Type>;

/// A type: `int`, `uint`, `float`, `bool`, `string`, `bytes`, `time`, `[]T`, `map[K]V`, or a table of fields
/// and their types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// A word.
    Named(String),
    /// A table, in the order of the file.
    Table(Vec<(String, Self)>),
}

/// What a [`Type`] says of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature<'a> {
    /// The long form.
    pub(crate) long: bool,
    pub(crate) args: Args<'a>,
    pub(crate) reply: Option<&'a Type>,
}

/// What is said of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Args<'a> {
    /// Its type.
    Type(&'a Type),
    /// Its fields, `reply` among them passed over.
    Fields(&'a [(String, Type)]),
    /// Nothing.
    Unsaid,
}

impl Type {
    /// Reads it as what is said of a method.
    pub(crate) fn signature(&self) -> Signature<'_> {
        let Self::Table(entries) = self else {
            return Signature { long: false, args: Args::Type(self), reply: None };
        };
        let named =
            |wanted: &str| entries.iter().find(|(name, _)| name == wanted).map(|(_, said)| said);
        let (args, reply) = (named(ARGS), named(REPLY));
        match args {
            Some(args) => Signature { long: true, args: Args::Type(args), reply },
            None if reply.is_some() && entries.len() == 1 => {
                Signature { long: false, args: Args::Unsaid, reply }
            }
            None => Signature { long: false, args: Args::Fields(entries), reply },
        }
    }
}

/// The key of the long form.
pub(crate) const ARGS: &str = "args";
/// The key of what is returned.
pub(crate) const REPLY: &str = "reply";

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type such as \"int\" or \"[]string\", or a table of fields")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Type, E> {
                Ok(Type::Named(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Type, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Type::Table(entries))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(word) => serializer.serialize_str(word),
            Self::Table(entries) => {
                serializer.collect_map(entries.iter().map(|(name, said)| (name, said)))
            }
        }
    }
}

impl JsonSchema for Type {
    fn schema_name() -> Cow<'static, str> {
        "Type".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let inner = generator.subschema_for::<Self>();
        json_schema!({
            "description": "A type: `int`, `uint`, `float`, `bool`, `string`, `bytes`, `time`, `[]T`, `map[K]V`, or a table of fields and their types. What is said of a method is the type of its argument, with what it returns under `reply`, or the long form `{ args = …, reply = … }`.",
            "anyOf": [
                { "type": "string", "examples": ["int", "[]string", "map[string]float"] },
                { "type": "object", "additionalProperties": inner }
            ]
        })
    }
}
