//! Who may ask the admin API: not a web page that somebody else has written.
//!
//! A browser on this machine reaches loopback addresses for any page it shows. Two things tell such
//! a request from an operator's: a `Host` that is a name somebody pointed here (DNS rebinding), and
//! an `Origin` or fetch metadata of another site (CSRF).

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{HeaderMap, Method};

/// Why a request is refused: the status, and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

/// What a request has to satisfy.
pub(super) struct Guard<'a> {
    /// Over a unix socket, whose file says who may connect, the host means nothing.
    pub(super) local: bool,
    /// Names that a request may give beside addresses and `localhost`.
    pub(super) hosts: &'a [String],
    /// What a change has to bring.
    pub(super) token: Option<&'a str>,
}

impl Guard<'_> {
    /// Whether the request may be answered.
    pub(super) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check_host(headers)?;
        check_origin(headers)?;
        if headers.contains_key(UPGRADE) {
            return Err(Refusal(400, "nothing here can be upgraded to"));
        }
        match *method {
            Method::GET | Method::HEAD => Ok(()),
            _ => self.check_change(headers),
        }
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.local {
            return Ok(());
        }
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal(400, "a request has exactly one Host"));
        };
        let name = host.to_str().ok().and_then(without_port).unwrap_or_default();
        let known = name.parse::<Ipv4Addr>().is_ok()
            || name.parse::<Ipv6Addr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|known| name.eq_ignore_ascii_case(known));
        match known {
            true => Ok(()),
            false => Err(Refusal(421, "this Host is not the admin API's; name it in admin.hosts")),
        }
    }

    fn check_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(token) = self.token {
            let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let given = given.and_then(|value| value.split_once(' '));
            let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            if !given.is_some_and(|(_, given)| is_same(given.trim(), token)) {
                return Err(Refusal(401, "a change needs `Authorization: Bearer` and the token"));
            }
        }
        let has_body = headers.contains_key(TRANSFER_ENCODING)
            || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence =
            content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        // A form of another site can send neither of these without asking first.
        let allowed = ["application/json", "application/toml"];
        if has_body && !allowed.iter().any(|allowed| essence.eq_ignore_ascii_case(allowed)) {
            return Err(Refusal(415, "the body has to be application/json or application/toml"));
        }
        Ok(())
    }
}

fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let foreign = Err(Refusal(403, "the request comes from a page of another origin"));
    if let Some(origin) = headers.get(ORIGIN) {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if origin.is_none() || origin != host {
            return foreign;
        }
    }
    // https://www.w3.org/TR/fetch-metadata/: what browsers say, and pages cannot.
    let said = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match (said("sec-fetch-site"), said("sec-fetch-mode")) {
        (None | Some(b"same-origin" | b"none"), _) => match said("sec-fetch-site") {
            None if said("sec-fetch-mode") == Some(b"no-cors") => foreign,
            _ => Ok(()),
        },
        // A link that somebody follows.
        (Some(_), Some(b"navigate")) => Ok(()),
        _ => foreign,
    }
}

/// The host of `host:port` and `[address]:port`.
fn without_port(host: &str) -> Option<&str> {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            return (port.is_empty() || port.starts_with(':')).then_some(address);
        }
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    (!name.is_empty()).then_some(name)
}

/// Compares in the same time whatever differs, so that a token cannot be found byte by byte.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let differences = one.iter().zip(other).fold(0, |found, (a, b)| found | (a ^ b));
    std::hint::black_box(differences) == 0 && one.len() == other.len()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn ask(method: Method, headers: &[(&'static str, &'static str)]) -> Result<(), u16> {
        let guard =
            Guard { local: false, hosts: &["locum.test".to_owned()], token: Some("s3cret") };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        guard.check(&method, &map).map_err(|refusal| refusal.0)
    }

    #[test]
    fn a_name_that_was_pointed_here_is_refused() {
        for host in
            ["127.0.0.1:9900", "localhost", "LOCALHOST:1", "[::1]:9900", "10.0.0.7", "locum.test:9"]
        {
            assert_eq!(ask(Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:9900", "", "[::1"] {
            assert_eq!(ask(Method::GET, &[("host", host)]), Err(421), "{host}");
        }
        assert_eq!(ask(Method::GET, &[]), Err(400));
        assert_eq!(ask(Method::GET, &[("host", "localhost"), ("host", "localhost")]), Err(400));
    }

    #[test]
    fn another_site_is_refused() {
        let from = |headers: &[(&'static str, &'static str)]| {
            ask(Method::GET, &[&[("host", "localhost:9900")], headers].concat())
        };
        assert_eq!(from(&[("origin", "http://localhost:9900")]), Ok(()));
        assert_eq!(
            from(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "no-cors")]),
            Ok(())
        );
        assert_eq!(
            from(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]),
            Ok(())
        );
        for origin in ["null", "http://evil.test", "http://localhost", "https://localhost:9900"] {
            assert_eq!(from(&[("origin", origin)]), Err(403), "{origin}");
        }
        assert_eq!(from(&[("sec-fetch-mode", "no-cors")]), Err(403));
        assert_eq!(from(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]), Err(403));
        assert_eq!(
            from(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")]),
            Err(403)
        );
        assert_eq!(from(&[("upgrade", "websocket")]), Err(400));
    }

    #[test]
    fn a_change_brings_the_token() {
        let change = |headers: &[(&'static str, &'static str)]| {
            ask(Method::POST, &[&[("host", "localhost")], headers].concat())
        };
        assert_eq!(change(&[("authorization", "Bearer s3cret")]), Ok(()));
        assert_eq!(change(&[("authorization", "bearer s3cret")]), Ok(()));
        for wrong in
            ["Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"]
        {
            assert_eq!(change(&[("authorization", wrong)]), Err(401), "{wrong}");
        }
        assert_eq!(change(&[]), Err(401));
        let with = ("authorization", "Bearer s3cret");
        assert_eq!(change(&[with, ("content-length", "3")]), Err(415));
        assert_eq!(
            change(&[with, ("content-length", "3"), ("content-type", "text/plain")]),
            Err(415)
        );
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(change(&[with, ("content-length", "3"), json]), Ok(()));
    }

    #[test]
    fn over_a_unix_socket_the_host_means_nothing() {
        let guard = Guard { local: true, hosts: &[], token: None };
        assert_eq!(guard.check(&Method::POST, &HeaderMap::new()), Ok(()));
    }
}
