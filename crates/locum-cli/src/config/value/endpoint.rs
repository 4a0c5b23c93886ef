//! Endpoints of upstreams.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{host_and_port, parsed};
use crate::config::file::UpstreamProtocol;
use crate::demo;

/// One endpoint of an upstream, written as a text or as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) weight: u32,
    pub(crate) zone: Option<String>,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `host:port`, with the scheme of its URL, if it is one.
    Host { authority: String, scheme: Option<Scheme> },
    /// `unix:/path`.
    Unix(PathBuf),
    /// The demo backend of that number, from 1, which lives in this process: `demo://1`.
    Demo(usize),
    /// The same of remote calls: `demo-rpc://1`.
    DemoRpc(usize),
}

/// What the scheme of an endpoint's URL says: `http`, `https`, `gob`, `gob+tls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scheme {
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) tls: bool,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        let (name, tls) = match text.strip_suffix("+tls") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let protocol = match name {
            "http" => UpstreamProtocol::Http1,
            "https" => {
                return (!tls).then_some(Self { protocol: UpstreamProtocol::Http1, tls: true });
            }
            "h2" => UpstreamProtocol::Http2,
            "grpc" => UpstreamProtocol::Grpc,
            "gob" => UpstreamProtocol::Gob,
            "gob-http" => UpstreamProtocol::GobHttp,
            "json-rpc" => UpstreamProtocol::JsonRpc,
            "json-rpc2" => UpstreamProtocol::JsonRpc2,
            "native" => UpstreamProtocol::Native,
            "tcp" => UpstreamProtocol::Tcp,
            _ => return None,
        };
        Some(Self { protocol, tls })
    }

    /// The port of a URL that names none. Remote calls have no port of their own.
    fn port(self) -> Option<u16> {
        match (self.protocol, self.tls) {
            (UpstreamProtocol::Http1, false) => Some(80),
            (UpstreamProtocol::Http1, true) => Some(443),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.tls) {
            (UpstreamProtocol::Http1, false) => f.write_str("http"),
            (UpstreamProtocol::Http1, true) => f.write_str("https"),
            (protocol, false) => f.write_str(protocol.name()),
            (protocol, true) => write!(f, "{}+tls", protocol.name()),
        }
    }
}

impl Address {
    /// `host:port`, `unix:/path`, or the demo backend's URL: what metrics and logs call it.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Host { authority, .. } => authority.into(),
            Self::Unix(path) => format!("unix:{}", path.display()).into(),
            Self::Demo(number) => format!("demo://{number}").into(),
            Self::DemoRpc(number) => format!("demo-rpc://{number}").into(),
        }
    }

    /// What its URL says of how it is spoken to.
    pub(crate) fn scheme(&self) -> Option<Scheme> {
        match self {
            Self::Host { scheme, .. } => *scheme,
            Self::Unix(_) => None,
            Self::Demo(_) => Some(Scheme { protocol: UpstreamProtocol::Http1, tls: false }),
            Self::DemoRpc(_) => Some(Scheme { protocol: UpstreamProtocol::Gob, tls: false }),
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    /// Reads `host:port`, `http://host`, `gob://host:port`, `unix:/path` or `demo://1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if is_socket_path(path) { Ok(Self::Unix(path.into())) } else { Err(SOCKET) };
        }
        let (scheme, authority) = match text.split_once("://") {
            Some(("demo", number)) => {
                return demo(number).map(Self::Demo).ok_or("\"demo://1\" or \"demo://2\"");
            }
            Some(("demo-rpc", number)) => {
                let expected = "\"demo-rpc://1\" or \"demo-rpc://2\"";
                return demo(number).map(Self::DemoRpc).ok_or(expected);
            }
            Some((scheme, rest)) => {
                let Some(scheme) = Scheme::parse(scheme) else { return Err(SCHEME) };
                (Some(scheme), rest.strip_suffix('/').unwrap_or(rest))
            }
            None => (None, text),
        };
        let Some((host, port)) = host_and_port(authority) else { return Err(ENDPOINT) };
        match port.or_else(|| scheme?.port()) {
            None | Some(0) => Err(ENDPOINT),
            Some(port) => Ok(Self::Host { authority: format!("{host}:{port}"), scheme }),
        }
    }
}

/// Whether a unix socket may be there, wherever the program was started. The kernel takes no longer ones (unix(7)).
fn is_socket_path(path: &str) -> bool {
    path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') && path.len() < 108
}

/// The number of a demo backend.
fn demo(number: &str) -> Option<usize> {
    number.parse().ok().filter(|number| (1..=demo::COUNT).contains(number))
}

/// As it is written.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Host { scheme: Some(scheme), .. } = self {
            write!(f, "{scheme}://")?;
        }
        f.write_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Endpoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"host:port\" or { address = \"host:port\", weight = 1 }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Endpoint, E> {
                let unexpected = |expected| E::invalid_value(Unexpected::Str(text), &expected);
                let address = text.parse().map_err(unexpected)?;
                Ok(Endpoint { address, weight: one(), zone: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Endpoint, A::Error> {
                let table = EndpointTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Endpoint { address: table.address, weight: table.weight, zone: table.zone })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// The long form of an endpoint.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    /// `host:port`, a URL of these, or `unix:/path`.
    #[schemars(with = "String")]
    address: Address,
    /// How much of the load it takes beside the others, from 1 to 1000. Default 1.
    #[serde(default = "one")]
    weight: u32,
    /// Where it stands; `runtime.zone` is where this instance does.
    #[serde(default)]
    zone: Option<String>,
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

const fn one() -> u32 {
    1
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Table<'a> {
            address: String,
            weight: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            zone: &'a Option<String>,
        }
        let Self { address, weight, zone } = self;
        match (weight, zone) {
            (1, None) => serializer.collect_str(address),
            _ => {
                Table { address: address.to_string(), weight: *weight, zone }.serialize(serializer)
            }
        }
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<EndpointTable>();
        json_schema!({ "anyOf": [{ "type": "string", "examples": ["10.0.0.1:7001", "unix:/run/app.sock"] }, table] })
    }
}

const ENDPOINT: &str =
    "\"host:port\" or \"http://host:port\", without a path: a route's `rewrite` is for that";
const SOCKET: &str =
    "the path of a unix socket such as \"unix:/run/app.sock\", absolute and of less than 108 bytes";
const SCHEME: &str = "an address such as \"10.0.0.1:7001\", or a URL with http, https, h2, grpc, gob, gob-http, json-rpc, json-rpc2, native or tcp: no other is available in this version";
