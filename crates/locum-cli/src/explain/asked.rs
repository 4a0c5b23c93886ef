//! What is asked about.

use locum_proxy::route::Question;

/// A request or a remote call, which nobody makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Request(Request),
    /// `Service.Method`.
    Call(String),
}

/// A request of HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
}

impl Asked {
    /// Reads `GET http://host/path`, in one word or two, a URL, a path, or `Service.Method`.
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let line = words.join(" ");
        let (method, target) = line.trim().rsplit_once(' ').unwrap_or_else(|| ("", line.trim()));
        let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
        let (authority, path) = match rest {
            Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None if target.starts_with('/') => ("", target),
            None if method.is_empty() && is_call(target) => {
                return Ok(Self::Call(target.to_owned()));
            }
            None => {
                let remedy = "write \"GET /path\", or a call such as \"Arith.Multiply\"";
                return Err(format!("`{target}` is no URL, no path and no call; {remedy}"));
            }
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        let port = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let host = &authority[..port.unwrap_or(authority.len())];
        let method = match method.trim() {
            "" => "GET".to_owned(),
            method => method.to_ascii_uppercase(),
        };
        Ok(Self::Request(Request { method, host: host.to_owned(), path: path.to_owned(), query }))
    }
}

/// Whether `text` is `Service.Method`.
fn is_call(text: &str) -> bool {
    let parts = text.rsplit_once('.');
    parts.is_some_and(|(service, method)| !service.is_empty() && !method.is_empty())
        && !text.contains(['/', '*', ':'])
}

impl Request {
    /// With these fields.
    pub(super) fn question<'a>(&'a self, headers: &'a [(String, String)]) -> Question<'a> {
        Question {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<Asked, String> {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        Asked::parse(&words)
    }

    #[test]
    fn a_request_is_a_line_a_url_or_a_path() {
        let is = |method: &str, host: &str, path: &str, query: Option<&str>| {
            Ok(Asked::Request(Request {
                method: method.into(),
                host: host.into(),
                path: path.into(),
                query: query.map(Into::into),
            }))
        };
        assert_eq!(asked(&["GET http://a.test/x?y=1"]), is("GET", "a.test", "/x", Some("y=1")));
        assert_eq!(asked(&["post", "https://a.test:8443"]), is("POST", "a.test", "/", None));
        assert_eq!(asked(&["http://[::1]:80?q"]), is("GET", "[::1]", "/", Some("q")));
        assert_eq!(asked(&["/users/7"]), is("GET", "", "/users/7", None));
    }

    #[test]
    fn a_call_is_a_service_and_its_method() {
        let is = |method: &str| Ok(Asked::Call(method.to_owned()));
        assert_eq!(asked(&["Arith.Multiply"]), is("Arith.Multiply"));
        assert_eq!(asked(&["a.b.Arith.Multiply"]), is("a.b.Arith.Multiply"));
        for neither in ["users", "Arith.", ".Multiply", "Arith.*", "a.test:80"] {
            assert!(asked(&[neither]).unwrap_err().contains("no call"), "{neither}");
        }
        assert!(asked(&["GET", "Arith.Multiply"]).is_err());
    }
}
