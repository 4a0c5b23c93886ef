//! A switch that may say more.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Whether something is done, written as `true` or as a table of what is said of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Switch<T> {
    #[default]
    Off,
    On(T),
}

/// What may be said of it.
pub(crate) trait Said:
    Default + PartialEq + DeserializeOwned + Serialize + JsonSchema
{
    /// What it is called in the schema.
    const NAME: &'static str;
    /// What may be written, for whoever wrote something else.
    const EXPECTED: &'static str;
}

impl<T: Said> Switch<T> {
    pub(crate) fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// What is said, if it is on.
    pub(crate) fn said(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(said) => Some(said),
        }
    }
}

impl<'de, T: Said> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Said> Visitor<'de> for Either<T> {
            type Value = Switch<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Switch<T>, E> {
                Ok(if on { Switch::On(T::default()) } else { Switch::Off })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Switch<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Switch::On)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<T: Said> Serialize for Switch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::On(said) if *said == T::default() => serializer.serialize_bool(true),
            Self::On(said) => said.serialize(serializer),
        }
    }
}

impl<T: Said> JsonSchema for Switch<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, table] })
    }
}
