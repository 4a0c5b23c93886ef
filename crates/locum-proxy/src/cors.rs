//! Which pages of other origins may read a route's answers (Fetch §3.3, once called CORS).
//!
//! What browsers ask beforehand is answered here, before anybody has to show who it is: such a question carries
//! nothing to show it with. Every other answer of the route, ours too, tells who may read it.

use std::time::Duration;

use locum_wire::http1::Request;
use locum_wire::http1::encode::field;

/// One route's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Origins whose pages may read: `https://app.example.com`, `https://*.example.com`, or `*` for all.
    pub origins: Vec<String>,
    /// Methods that may be used beside GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Fields that may be sent beside those that any page may send; `*`: those that are asked for.
    pub headers: Vec<String>,
    /// Fields that may be read beside those that any page may read.
    pub expose: Vec<String>,
    /// Whether cookies and passwords go along.
    pub credentials: bool,
    /// How long browsers may remember what they were told.
    pub max_age: Option<Duration>,
}

/// Fields of an answer that are ours to write where a route has these settings.
pub(crate) const OURS: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
];

/// What is asked for beforehand: the method, and the fields as they are listed.
pub(crate) struct Preflight<'a> {
    pub(crate) method: &'a [u8],
    headers: Option<&'a [u8]>,
}

impl<'a> Preflight<'a> {
    /// What `request` asks for, if that is what it does.
    pub(crate) fn of(request: &Request<'a>) -> Option<Self> {
        if request.method() != b"OPTIONS" || request.get_other(b"origin").is_none() {
            return None;
        }
        let method = request.get_other(b"access-control-request-method")?;
        Some(Self { method, headers: request.get_other(b"access-control-request-headers") })
    }
}

impl Settings {
    fn allows_all(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|allowed| covers(allowed, origin))
    }

    /// Lines for any answer to `request`.
    pub(crate) fn lines(&self, request: &Request<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_origin(request, &mut out);
        if !out.is_empty() && !self.expose.is_empty() {
            field(&mut out, b"Access-Control-Expose-Headers", self.expose.join(", ").as_bytes());
        }
        if !self.is_for_all() {
            // Whoever keeps answers has to tell them apart by this.
            field(&mut out, b"Vary", b"Origin");
        }
        out
    }

    /// Lines for the answer to what is asked beforehand; none that allow anything if it may not.
    pub(crate) fn preflight(&self, asked: &Preflight<'_>, request: &Request<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_origin(request, &mut out);
        if !out.is_empty() {
            let methods = ["GET", "HEAD", "POST"].into_iter();
            let methods: Vec<_> = methods.chain(self.methods.iter().map(String::as_str)).collect();
            field(&mut out, b"Access-Control-Allow-Methods", methods.join(", ").as_bytes());
            match asked.headers {
                // By name: with credentials `*` would be a name itself.
                Some(headers) if self.headers.iter().any(|name| name == "*") => {
                    field(&mut out, b"Access-Control-Allow-Headers", headers);
                }
                _ if self.headers.is_empty() => {}
                _ => {
                    let headers = self.headers.join(", ");
                    field(&mut out, b"Access-Control-Allow-Headers", headers.as_bytes());
                }
            }
            if let Some(age) = self.max_age {
                field(&mut out, b"Access-Control-Max-Age", age.as_secs().to_string().as_bytes());
            }
        }
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        field(&mut out, b"Vary", vary.as_bytes());
        out
    }

    /// Whether every origin is told the same.
    fn is_for_all(&self) -> bool {
        self.allows_all() && !self.credentials
    }

    fn write_origin(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        let Some(origin) = request.get_other(b"origin") else {
            if self.is_for_all() {
                field(out, b"Access-Control-Allow-Origin", b"*");
            }
            return;
        };
        if self.is_for_all() {
            field(out, b"Access-Control-Allow-Origin", b"*");
        } else if self.allows(origin) {
            field(out, b"Access-Control-Allow-Origin", origin);
            if self.credentials {
                field(out, b"Access-Control-Allow-Credentials", b"true");
            }
        }
    }
}

/// Whether `allowed` is `origin`, or stands for it. In `https://*.example.com` the star is one or more labels.
fn covers(allowed: &str, origin: &[u8]) -> bool {
    let Some((scheme, suffix)) = allowed.split_once('*') else {
        return origin.eq_ignore_ascii_case(allowed.as_bytes());
    };
    let Some(middle) = origin.len().checked_sub(scheme.len() + suffix.len()) else { return false };
    let (head, rest) = origin.split_at(scheme.len());
    let (label, tail) = rest.split_at(middle);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
    allowed != "*"
        && head.eq_ignore_ascii_case(scheme.as_bytes())
        && tail.eq_ignore_ascii_case(suffix.as_bytes())
        && !label.is_empty()
        && label.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn an_origin_is_one_by_the_letter_or_below_one() {
        let cases = [
            ("https://a.test", "https://a.test", true),
            ("https://a.test", "HTTPS://A.test", true),
            ("https://a.test", "http://a.test", false),
            ("https://a.test", "https://a.test:8443", false),
            ("https://a.test", "https://a.test.evil", false),
            ("https://*.a.test", "https://b.a.test", true),
            ("https://*.a.test", "https://c.b.a.test", true),
            ("https://*.a.test", "https://a.test", false),
            ("https://*.a.test", "https://.a.test", false),
            ("https://*.a.test", "https://evil/.a.test", false),
            ("https://*.a.test", "https://evil?x.a.test", false),
            ("https://*.a.test", "https://evila.test", false),
            ("https://*.a.test", "null", false),
        ];
        for (allowed, origin, expected) in cases {
            assert_eq!(covers(allowed, origin.as_bytes()), expected, "{allowed} {origin}");
        }
    }
}
