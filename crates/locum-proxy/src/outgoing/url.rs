//! Where a server is.

use std::fmt;
use std::net::IpAddr;

/// An absolute URL of `http` or `https`.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is spoken to over TLS.
    pub secure: bool,
    /// The host, an IPv6 address in its brackets.
    pub host: String,
    /// The port, that of the scheme where none is written.
    pub port: u16,
    /// As written: the `Host` of a request.
    pub authority: String,
    /// The path and the query. They may hold what nobody else is to know.
    pub target: String,
}

impl Url {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a URL such as \"https://login.example.com/keys\"";
        let (secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(EXPECTED),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_| EXPECTED)?)
            }
            _ => (authority, if secure { 443 } else { 80 }),
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bare {
            Some(address) => address.parse::<IpAddr>().is_ok_and(|it| it.is_ipv6()),
            None => !host.is_empty() && host.bytes().all(named),
        };
        let in_target = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !valid || port == 0 || !target.bytes().all(in_target) {
            return Err(EXPECTED);
        }
        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let (host, authority) = (host.to_ascii_lowercase(), authority.to_owned());
        Ok(Self { secure, host, port, authority, target })
    }

    /// Whether nothing that is said to it can be heard elsewhere.
    pub fn is_private(&self) -> bool {
        let bare = self.host.trim_matches(['[', ']']);
        let loops =
            bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        self.secure || loops || self.host == "localhost"
    }
}

/// What follows the path is not shown: secrets stand there.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)?;
        if self.target.contains('?') { f.write_str("?***") } else { Ok(()) }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_a_port_and_a_target() {
        for (text, secure, host, port, target) in [
            ("https://a.test", true, "a.test", 443, "/"),
            ("http://A.test:81/x?y=1", false, "a.test", 81, "/x?y=1"),
            ("https://[::1]:9/x", true, "[::1]", 9, "/x"),
            ("https://[::1]?x", true, "[::1]", 443, "/?x"),
            ("http://10.0.0.1", false, "10.0.0.1", 80, "/"),
        ] {
            let url = Url::parse(text).unwrap_or_else(|_| panic!("{text}"));
            let found = (url.secure, &*url.host, url.port, &*url.target);
            assert_eq!(found, (secure, host, port, target));
        }
        for text in [
            "",
            "a.test/keys",
            "ftp://a.test",
            "https://",
            "https://:443",
            "https://a.test:x",
            "https://a.test:0",
            "https://a.test:99999",
            "https://user:pass@a.test",
            "https://a.test/a b",
            "https://a.test/\r\nX: 1",
            "https://a.test/#x",
            "https://::1/",
            "https://[x]/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        let url = Url::parse("https://a.test/keys?token=s3cret").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://a.test/keys?*** https://a.test/keys?***");
    }

    #[test]
    fn only_what_stays_here_may_go_without_tls() {
        for (text, private) in [
            ("https://a.test", true),
            ("http://127.0.0.1:1", true),
            ("http://localhost/x", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://a.test", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().is_private(), private, "{text}");
        }
    }
}
