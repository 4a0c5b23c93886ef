//! Recorded calls: one JSON object a line, in the order in which they arrived.

use std::fmt;
use std::io::{self, BufRead};
use std::time::Duration;

use locum_policy::{Key, Keys, Time};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Line {
    /// When it arrived.
    #[serde(deserialize_with = "instant")]
    pub at: Time,
    /// Its method.
    #[serde(default)]
    pub call: String,
    /// Whom a keyed limit takes it for.
    #[serde(default)]
    pub key: Option<String>,
    /// What it takes from a limit.
    #[serde(default = "one")]
    pub cost: u64,
    /// 0 is shed first, 3 last.
    #[serde(default = "ordinary")]
    pub priority: u8,
    /// Whether sending it twice does no harm.
    #[serde(default)]
    pub idempotent: bool,
    /// How long its caller waits, from `at`.
    #[serde(default, deserialize_with = "maybe_duration")]
    pub deadline: Option<Duration>,
    /// When its caller goes away.
    #[serde(default, deserialize_with = "maybe_instant")]
    pub cancel_at: Option<Time>,
    /// What each attempt in turn meets; the last repeats. Absent: a success that takes no time. Empty:
    /// none was sent then, and the same is assumed.
    #[serde(default)]
    pub attempts: Option<Vec<Meets>>,
}

/// What an attempt meets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct Meets {
    /// How long until its end; says nothing of one that hangs.
    #[serde(deserialize_with = "maybe_duration")]
    pub took: Option<Duration>,
    /// Its end.
    pub outcome: Outcome,
    /// Whom it meets.
    pub endpoint: Option<String>,
    /// When it is told to come back.
    #[serde(deserialize_with = "maybe_duration")]
    pub retry_after: Option<Duration>,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Well.
    #[default]
    Success,
    /// With a failure that may be retried if the call is idempotent: a 503.
    Failure,
    /// With something that says nothing of the peer: a 404.
    Ignored,
    /// With a refusal for overload: a 429.
    Overload,
    /// Not at all.
    Hang,
}

const fn one() -> u64 {
    1
}

const fn ordinary() -> u8 {
    1
}

/// The `key` stands for whatever a limit tells callers apart by; the method of a call is its own.
impl Keys for Line {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        let named = matches!(part, Key::Method | Key::Route) && !self.call.is_empty();
        if named { Some(self.call.as_bytes()) } else { self.key.as_deref().map(str::as_bytes) }
    }
}

/// A line that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which, from 1.
    pub line: u64,
    /// Where in it, from 1.
    pub column: u64,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for Error {}

/// Reads a trace line by line.
pub(crate) struct Reader<R> {
    from: R,
    text: Vec<u8>,
    lines: u64,
    bytes: u64,
    last: Time,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, text: Vec::new(), lines: 0, bytes: 0, last: Time::ZERO }
    }

    /// Bytes read.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    /// The next call; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Line, Error>>> {
        self.text.clear();
        let read = self.from.read_until(b'\n', &mut self.text)?;
        self.lines += 1;
        self.bytes += read as u64;
        Ok((read > 0).then(|| self.parse()))
    }

    fn parse(&mut self) -> Result<Line, Error> {
        let line = self.lines;
        let wrong = |column, reason: &str| Error { line, column, reason: reason.to_owned() };
        if self.text.trim_ascii().is_empty() {
            return Err(wrong(1, "an empty line, not a call"));
        }
        let call: Line = serde_json::from_slice(&self.text).map_err(|error| {
            let text = error.to_string();
            let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
            Error { line, column: error.column().max(1) as u64, reason: reason.to_owned() }
        })?;
        if call.at < self.last {
            return Err(wrong(1, "`at` is earlier than in the line before"));
        }
        if call.priority > 3 {
            return Err(wrong(1, "`priority` is a whole number from 0 to 3"));
        }
        if call.cancel_at.is_some_and(|cancel_at| cancel_at < call.at) {
            return Err(wrong(1, "`cancel_at` is earlier than `at`: both are instants"));
        }
        self.last = call.at;
        Ok(call)
    }
}

/// What derives its reading would read a list as well, field by field; an object is meant.
macro_rules! object {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> Visitor<'de> for Object {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$type>::deserialize(MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    };
}

object!(Line);
object!(Meets);

fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    deserializer.deserialize_any(Millis).map(Time::from_nanos)
}

fn maybe_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    Ok(maybe_duration(deserializer)?.map(|time| Time::ZERO + time))
}

fn maybe_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    struct Maybe;

    impl<'de> Visitor<'de> for Maybe {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Millis.expecting(f)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
            from.deserialize_any(Millis).map(Duration::from_nanos).map(Some)
        }
    }

    deserializer.deserialize_option(Maybe)
}

/// Milliseconds, with fractions; in nanoseconds.
struct Millis;

impl Visitor<'_> for Millis {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("milliseconds, 0 or more")
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<u64, E> {
        millis.checked_mul(1_000_000).ok_or_else(|| E::custom("more than 584 years"))
    }

    fn visit_f64<E: de::Error>(self, millis: f64) -> Result<u64, E> {
        if millis < 0.0 {
            return Err(E::invalid_value(de::Unexpected::Float(millis), &self));
        }
        let nanos = (millis * 1e6).round();
        // The largest float below 2^64.
        if nanos >= 18_446_744_073_709_550_000.0 {
            return Err(E::custom("more than 584 years"));
        }
        Ok(nanos as u64)
    }
}
