//! A switch that may say more.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::Duration;

/// Whether nothing is served for a while, written as `true` or as a table of what is said instead.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Maintenance {
    #[default]
    Off,
    On(Words),
}

/// What is said instead.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Words {
    /// When to come back: the field `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<Duration>,
    /// A text, or HTML if it begins with `<`; default a problem in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
}

impl Maintenance {
    pub(crate) fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl<'de> Deserialize<'de> for Maintenance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Maintenance;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or { retry_after = \"5min\" }")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Maintenance, E> {
                Ok(if on { Maintenance::On(Words::default()) } else { Maintenance::Off })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Maintenance, A::Error> {
                Words::deserialize(MapAccessDeserializer::new(map)).map(Maintenance::On)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Maintenance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::On(words) if *words == Words::default() => serializer.serialize_bool(true),
            Self::On(words) => words.serialize(serializer),
        }
    }
}

impl JsonSchema for Maintenance {
    fn schema_name() -> Cow<'static, str> {
        "Maintenance".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<Words>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, table] })
    }
}
