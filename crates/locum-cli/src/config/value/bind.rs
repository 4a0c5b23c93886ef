//! Where something listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use locum_proxy::listener;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::parsed;

/// An address to listen on: `127.0.0.1:8080`, `unix:/path`, or `fd:NAME` for a socket that the process is
/// given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bind {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Given(String),
}

impl Bind {
    /// Whether only this machine can reach it. Of a socket that is given nobody knows before it is.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
            Self::Given(_) => false,
        }
    }

    /// The same in the words of the data path.
    pub(crate) fn of_listener(&self) -> listener::Bind {
        match self {
            Self::Tcp(address) => listener::Bind::Tcp(*address),
            Self::Unix(path) => listener::Bind::Unix(path.clone()),
            Self::Given(called) => listener::Bind::Given(called.clone()),
        }
    }
}

impl FromStr for Bind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "an address such as \"127.0.0.1:8080\", \"[::]:8080\", \
                                \"unix:/run/locum.sock\" or \"fd:NAME\"";
        let after = |scheme| text.strip_prefix(scheme);
        match (after("unix:"), after("fd:"), after("localhost:")) {
            (Some(""), ..) | (_, Some(""), _) => Err(EXPECTED),
            (Some(path), ..) => Ok(Self::Unix(path.into())),
            (_, Some(called), _) => Ok(Self::Given(called.to_owned())),
            (.., Some(port)) => match port.parse() {
                Ok(port) => Ok(Self::Tcp((IpAddr::from([127, 0, 0, 1]), port).into())),
                Err(_) => Err(EXPECTED),
            },
            _ => text.parse().map(Self::Tcp).map_err(|_| EXPECTED),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of_listener().fmt(f)
    }
}

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl Serialize for Bind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
