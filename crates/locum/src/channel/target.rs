//! Where a channel goes: what its URL says.

use std::fmt;
use std::path::PathBuf;

use locum_wire::rpc::Protocol;

/// What a URL says of a service: how to speak, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) protocol: Protocol,
    /// Whether a `CONNECT` comes before the protocol.
    pub(super) connect: bool,
    pub(super) tls: bool,
    /// At least one.
    pub(super) places: Vec<Place>,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A host, by name or address, and a port.
    Tcp { host: String, port: u16 },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why a channel cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// What is at fault, as it was given.
    pub what: String,
    /// Why, and what to do about it.
    pub reason: String,
}

impl BuildError {
    pub(super) fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into() }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.what, self.reason)
    }
}

impl std::error::Error for BuildError {}

impl Target {
    /// Reads `scheme://host:port[,host:port…]` or `scheme+unix:/path`.
    pub(super) fn parse(url: &str) -> Result<Self, BuildError> {
        let wrong = |reason: String| BuildError::new(url, reason);
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(wrong(format!("it has no scheme; write one, such as {EXAMPLE}")));
        };
        let mut words = scheme.split('+');
        let (protocol, connect) = match words.next().unwrap_or_default() {
            "gob" => (Protocol::Gob, false),
            "gob-http" | "http" => (Protocol::Gob, true),
            "json-rpc" => (Protocol::Json1, false),
            "json-rpc2" => (Protocol::Json2, false),
            "native" | "tcp" => (Protocol::Native, false),
            "unix" => return Self::unix(url, Protocol::Native, false, rest),
            other => {
                return Err(wrong(format!(
                    "`{other}` is no protocol; use gob, gob-http, json-rpc, json-rpc2 or native"
                )));
            }
        };
        let (mut tls, mut unix) = (false, false);
        for word in words {
            match word {
                "tls" => tls = true,
                "unix" => unix = true,
                other => {
                    return Err(wrong(format!(
                        "`+{other}` says nothing; after the protocol may stand +tls or +unix"
                    )));
                }
            }
        }
        if unix {
            if tls {
                return Err(wrong("a Unix socket needs no TLS; remove +tls".to_owned()));
            }
            return Self::unix(url, protocol, connect, rest);
        }
        let Some(hosts) = rest.strip_prefix("//") else {
            return Err(wrong(format!("after the scheme comes `://`, as in {EXAMPLE}")));
        };
        let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
        let places = hosts.split(',').map(|host| Place::tcp(host).map_err(&wrong));
        Ok(Self { protocol, connect, tls, places: places.collect::<Result<_, _>>()? })
    }

    fn unix(url: &str, protocol: Protocol, connect: bool, rest: &str) -> Result<Self, BuildError> {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            let reason = "it names no path; write one, as in native+unix:///run/service.sock";
            return Err(BuildError::new(url, reason));
        }
        let places = path.split(',').map(|path| Place::Unix(path.into())).collect();
        Ok(Self { protocol, connect, tls: false, places })
    }
}

impl Place {
    /// Reads `host:port`, with an IPv6 address in brackets.
    pub(super) fn tcp(text: &str) -> Result<Self, String> {
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("`{text}` has no port; write host:port"));
        };
        let port = match port.parse() {
            Ok(0) | Err(_) => {
                return Err(format!("`{port}` is no port; write one from 1 to 65535"));
            }
            Ok(port) => port,
        };
        let bare = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| host.contains(':')),
            None => (!host.contains(':')).then_some(host),
        };
        match bare {
            Some(host) if is_host(host) => Ok(Self::Tcp { host: host.to_owned(), port }),
            Some("") => Err(format!("`{text}` names no host; write host:port")),
            _ => {
                Err(format!("`{host}` is no host; an IPv6 address stands in brackets: [::1]:1234"))
            }
        }
    }
}

fn is_host(text: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
    !text.is_empty() && text.bytes().all(fits)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

const EXAMPLE: &str = "gob://127.0.0.1:1234";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_and_where() {
        let of = |url: &str| {
            let Target { protocol, connect, tls, places } = Target::parse(url).unwrap();
            let places: Vec<_> = places.iter().map(Place::to_string).collect();
            (protocol, connect, tls, places.join(" "))
        };
        let place = |text: &str| text.to_owned();
        assert_eq!(of("gob://127.0.0.1:1"), (Protocol::Gob, false, false, place("127.0.0.1:1")));
        assert_eq!(of("gob-http://a:1/"), (Protocol::Gob, true, false, place("a:1")));
        assert_eq!(of("json-rpc://[::1]:9"), (Protocol::Json1, false, false, place("[::1]:9")));
        assert_eq!(of("json-rpc2://a:1"), (Protocol::Json2, false, false, place("a:1")));
        assert_eq!(of("native+tls://a:1"), (Protocol::Native, false, true, place("a:1")));
        assert_eq!(of("tcp://a:1,b:2"), (Protocol::Native, false, false, place("a:1 b:2")));
        assert_eq!(of("gob+unix:///run/x"), (Protocol::Gob, false, false, place("/run/x")));
        assert_eq!(of("unix:/run/x"), (Protocol::Native, false, false, place("/run/x")));
        assert_eq!(of("unix:x.sock"), (Protocol::Native, false, false, place("x.sock")));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        let why = |url: &str| Target::parse(url).unwrap_err().to_string();
        for (url, reason) in [
            ("localhost", "it has no scheme; write one, such as gob://127.0.0.1:1234"),
            ("ftp://a:1", "`ftp` is no protocol; use gob, gob-http, json-rpc, json-rpc2 or native"),
            ("gob+ssl://a:1", "`+ssl` says nothing; after the protocol may stand +tls or +unix"),
            ("gob:a:1", "after the scheme comes `://`, as in gob://127.0.0.1:1234"),
            ("gob://a", "`a` has no port; write host:port"),
            ("gob://a:b", "`b` is no port; write one from 1 to 65535"),
            ("gob://a:0", "`0` is no port; write one from 1 to 65535"),
            ("gob://:1", "`:1` names no host; write host:port"),
            ("gob://a:1,", "`` has no port; write host:port"),
            ("gob://::1:1", "`::1` is no host; an IPv6 address stands in brackets: [::1]:1234"),
            ("gob://[a]:1", "`[a]` is no host; an IPv6 address stands in brackets: [::1]:1234"),
            ("gob://a b:1", "`a b` is no host; an IPv6 address stands in brackets: [::1]:1234"),
            ("unix:", "it names no path; write one, as in native+unix:///run/service.sock"),
            ("gob+tls+unix:/x", "a Unix socket needs no TLS; remove +tls"),
        ] {
            assert_eq!(why(url), format!("`{url}`: {reason}"));
        }
    }
}
