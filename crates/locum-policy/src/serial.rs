//! How settings are read and written by serde, and described by a JSON Schema.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::Key;
use crate::balance::Balance;
use crate::gates::breaker::Window;
use crate::gates::hedge::Delay;
use crate::gates::retry::Condition;
use crate::text::{self, Malformed, Rate};

/// Reads a text by a function of it.
struct Text<T, F>(&'static str, F, PhantomData<T>);

impl<T, F: Fn(&str) -> Result<T, Malformed>> Visitor<'_> for Text<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.1(text).map_err(E::custom)
    }
}

/// Reads a text with `parse`; `expected` says what it is.
pub(crate) fn text<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, Malformed>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text(expected, parse, PhantomData))
}

const A_DURATION: &str = "a duration such as \"250ms\"";

/// `"250ms"`.
pub(crate) mod duration {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&text::duration(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        text(deserializer, A_DURATION, text::parse_duration)
    }
}

/// `"250ms"`, or nothing.
pub(crate) mod maybe_duration {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde's `with` hands a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(&text::duration(*value)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        duration::deserialize(deserializer).map(Some)
    }
}

/// `"64KiB"`, or a number of bytes.
pub(crate) mod size {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&text::size(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        text(deserializer, "a size such as \"64KiB\"", text::parse_size)
    }
}

/// One value, or an array of them.
pub(crate) mod one_or_many {
    use super::*;

    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one of them or an array of them")
        }

        fn visit_str<E: Error>(self, one: &str) -> Result<Vec<T>, E> {
            T::deserialize(serde::de::value::StrDeserializer::new(one)).map(|one| vec![one])
        }

        fn visit_map<A: MapAccess<'de>>(self, one: A) -> Result<Vec<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(one)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(many))
        }
    }

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(OneOrMany(PhantomData))
    }

    pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
        schema_of::<crate::gates::rate_limit::Settings>(generator)
    }

    pub(crate) fn keys(generator: &mut SchemaGenerator) -> Schema {
        schema_of::<Key>(generator)
    }

    fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// `"10s"`, or a number of calls.
impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeOrCount;

        impl Visitor<'_> for TimeOrCount {
            type Value = Window;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"10s\", or a number of calls")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Window, E> {
                text::parse_duration(text).map(Window::Time).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, calls: i64) -> Result<Window, E> {
                let calls = u32::try_from(calls).map_err(|_| E::custom("not a number of calls"))?;
                Ok(Window::Last(calls))
            }

            fn visit_u64<E: Error>(self, calls: u64) -> Result<Window, E> {
                let calls = u32::try_from(calls).map_err(|_| E::custom("not a number of calls"))?;
                Ok(Window::Last(calls))
            }
        }

        deserializer.deserialize_any(TimeOrCount)
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Time(length) => duration::serialize(length, serializer),
            Self::Last(calls) => serializer.serialize_u32(*calls),
        }
    }
}

impl JsonSchema for Window {
    fn schema_name() -> Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "description": "a duration, or a number of calls" })
    }
}

/// A type that reads and writes itself as text.
macro_rules! as_text {
    ($type:ty, $name:literal, $expected:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text(deserializer, $expected, str::parse)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $expected })
            }
        }
    };
}

as_text!(Rate, "Rate", "a rate such as \"100/s\"");
as_text!(Delay, "Delay", "a duration such as \"50ms\", or one of p50 to p99");
as_text!(Key, "Key", "`client-ip`, `header:NAME`, `method`, `route` or `identity`");
as_text!(
    Balance,
    "Balance",
    "`round-robin`, `weighted`, `random`, `least-request`, `peak-ewma`, `hash:header:NAME`, `hash:client-ip` or `sticky:COOKIE`"
);
as_text!(
    Condition,
    "Condition",
    "a condition such as `connect`, `timeout`, `503` or `UNAVAILABLE`"
);

/// `true` for what is written nowhere else, `false` for nothing, or a table.
pub(crate) mod switch {
    use super::*;

    struct Switch<T>(PhantomData<T>);

    impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for Switch<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`true`, `false` or a table")
        }

        fn visit_bool<E: Error>(self, on: bool) -> Result<Option<T>, E> {
            Ok(on.then(T::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    #[expect(clippy::ref_option, reason = "serde's `with` hands a reference to the field")]
    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_bool(false),
        }
    }

    pub(crate) fn deserialize<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(Switch(PhantomData))
    }

    pub(crate) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, table] })
    }
}
