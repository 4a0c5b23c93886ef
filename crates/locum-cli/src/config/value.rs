//! The values of a configuration file that are more than text or a number.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;
use locum_policy::text;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

pub(crate) use bind::Bind;
pub(crate) use endpoint::{Address, Endpoint, Scheme};
pub(crate) use link::{Link, Texts};
pub(crate) use maintenance::Maintenance;
pub(crate) use switch::{Said, Switch};

mod bind;
mod endpoint;
mod link;
mod maintenance;
pub(crate) mod shown;
mod switch;

/// A duration: `250ms`, `1.5s`, `5min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) std::time::Duration);

/// A size in bytes: `64KiB`, `10MB`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A size that may be `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeLimit(pub(crate) Option<u64>);

/// A network: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net(pub(crate) IpNet);

/// A peer that is believed: a network, or `unix` for whoever is on a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Net(Net),
    Unix,
}

/// The mode of a file, in octal: `0660`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

/// Statuses of HTTP: `200`, `200-299, 404`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) Vec<RangeInclusive<u16>>);

/// A text that is not shown; resolved by [`secret`](super::secret).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

/// How many threads carry calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Workers {
    /// One a core.
    #[default]
    Auto,
    /// So many.
    Count(usize),
}

/// The parts of `host`, `host:port`, `[::1]:port`; `None` if it is none of them.
pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons of a bare IPv6 address separate no port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let valid = match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(named),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    valid.then_some((host, port))
}

/// Reads a text or a whole number into a `T`, and says what was expected in its place.
struct Words<F> {
    expected: &'static str,
    read: F,
}

/// What stands where text is read.
enum Word<'a> {
    Text(&'a str),
    Number(u64),
}

impl<T, F: Fn(Word<'_>) -> Option<T>> Visitor<'_> for Words<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let read = (self.read)(Word::Text(text));
        read.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self.expected))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let read = (self.read)(Word::Number(number));
        read.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self.expected))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |word: Word<'_>| match word {
            Word::Text(text) => text::parse_duration(text).ok().map(Self),
            Word::Number(number) => (number == 0).then_some(Self(std::time::Duration::ZERO)),
        };
        deserializer.deserialize_any(Words { expected: DURATION, read })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |word: Word<'_>| match word {
            Word::Text(text) => text::parse_size(text).ok().map(Self),
            Word::Number(number) => Some(Self(number)),
        };
        deserializer.deserialize_any(Words { expected: SIZE, read })
    }
}

impl<'de> Deserialize<'de> for SizeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |word: Word<'_>| match word {
            Word::Text("unlimited") => Some(Self(None)),
            Word::Text(text) => text::parse_size(text).ok().map(|size| Self(Some(size))),
            Word::Number(number) => Some(Self(Some(number))),
        };
        deserializer.deserialize_any(Words { expected: SIZE_LIMIT, read })
    }
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |word: Word<'_>| match word {
            Word::Text(text) => (text == "auto").then_some(Self::Auto),
            Word::Number(number) => {
                usize::try_from(number).ok().filter(|n| (1..=1024).contains(n)).map(Self::Count)
            }
        };
        deserializer.deserialize_any(Words { expected: WORKERS, read })
    }
}

impl FromStr for Net {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(address).map(Self).ok_or(NET)
    }
}

impl FromStr for Peer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "unix" => Ok(Self::Unix),
            net => net.parse().map(Self::Net).map_err(|_| PEER),
        }
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok();
        mode.filter(|mode| octal && *mode <= 0o777).map(Self).ok_or(MODE)
    }
}

impl FromStr for Statuses {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one =
            |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = one(first)?..=one(last)?;
            (!range.is_empty()).then_some(range)
        };
        text.split(',').map(range).collect::<Option<_>>().map(Self).ok_or(STATUSES)
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |word: Word<'_>| match word {
            Word::Text(text) => text.parse().ok(),
            Word::Number(number) => number.to_string().parse().ok(),
        };
        deserializer.deserialize_any(Words { expected: STATUSES, read })
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = &'static str>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|expected| de::Error::invalid_value(Unexpected::Str(&text), &expected))
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&text::duration(self.0))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&text::size(self.0))
    }
}

impl Serialize for SizeLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(size) => serializer.collect_str(&text::size(size)),
            None => serializer.serialize_str("unlimited"),
        }
    }
}

impl Serialize for Workers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Count(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Net(net) => net.serialize(serializer),
            Self::Unix => serializer.serialize_str("unix"),
        }
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

/// A secret is written as what stands for it, never as what it is.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refers =
            self.0.starts_with("file:") || (self.0.starts_with("${") && self.0.ends_with('}'));
        f.write_str(if refers { &self.0 } else { "***" })
    }
}

/// The schema of a value that is written as a text.
macro_rules! text_schema {
    ($($value:ty: $name:literal, $schema:tt;)*) => {$(
        impl JsonSchema for $value {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

text_schema! {
    Duration: "Duration", { "type": "string", "examples": ["250ms", "10s", "5min"] };
    Size: "Size", { "type": ["string", "integer"], "examples": ["64KiB", "10MB", 512] };
    SizeLimit: "SizeLimit", { "type": ["string", "integer"], "examples": ["64KiB", "unlimited"] };
    Workers: "Workers", { "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1024 }] };
    Net: "Net", { "type": "string", "examples": ["10.0.0.0/8", "192.0.2.7"] };
    Peer: "Peer", { "type": "string", "examples": ["10.0.0.0/8", "unix"] };
    Mode: "Mode", { "type": "string", "examples": ["0660"] };
    Statuses: "Statuses", { "type": ["string", "integer"], "examples": ["200-399", "200, 404"] };
    Bind: "Bind", { "type": "string", "examples": ["127.0.0.1:8080", "unix:/run/locum.sock", "fd:web"] };
    Secret: "Secret", { "type": "string", "examples": ["${LOCUM_ADMIN_TOKEN}", "file:/run/secrets/token"] };
}

const DURATION: &str = "a duration such as \"250ms\", \"10s\" or \"5min\"";
const SIZE: &str = "a size such as \"64KiB\", \"10MB\" or 512";
const SIZE_LIMIT: &str = "a size such as \"64KiB\", or \"unlimited\"";
const WORKERS: &str = "\"auto\" or a number from 1 to 1024";
const PEER: &str = "a network such as \"10.0.0.0/8\", an address, or \"unix\"";
const MODE: &str = "a mode in octal, such as \"0660\"";
const NET: &str = "a network such as \"10.0.0.0/8\", or an address";
const STATUSES: &str = "statuses such as \"200-399\" or \"200, 404\"";
