//! Whether one request is what one route is for.

use regex::bytes::{Captures, Regex};

use super::Match;

/// A host that a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Any.
    Any,
    /// This name, lower-case, without port.
    Exact(Box<[u8]>),
    /// Every name that ends so, `.example.com` for `*.example.com`.
    Suffix(Box<[u8]>),
}

impl HostPattern {
    /// Reads `example.com` or `*.example.com`.
    ///
    /// # Errors
    ///
    /// Reason and remedy where it is neither.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let lower = text.to_ascii_lowercase();
        let (suffix, name) = match lower.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => (true, rest),
            None => (false, lower.as_str()),
            Some(_) => return Err(bad_host(text)),
        };
        let bracketed = name.starts_with('[') && name.ends_with(']');
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !(bracketed || name.bytes().all(allowed)) {
            return Err(bad_host(text));
        }
        let name = name.as_bytes().into();
        Ok(if suffix { Self::Suffix(name) } else { Self::Exact(name) })
    }
}

fn bad_host(text: &str) -> (String, String) {
    (
        format!("`{text}` is no host"),
        "write a name such as \"example.com\" or \"*.example.com\", without scheme and port".into(),
    )
}

/// A path that a route is for.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// Any.
    Any,
    /// Exactly this.
    Exact(Box<[u8]>),
    /// A template, segment by segment.
    Template(Box<[Segment]>),
    /// This (without the closing slash) and everything below it.
    Prefix(Box<[u8]>),
    /// What the expression matches, from start to end.
    Regex(Regex),
}

/// One segment of a template path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this.
    Literal(Box<[u8]>),
    /// Anything but nothing, under a name.
    Parameter(Box<str>),
}

/// The parts of one path that have names.
pub(crate) enum Parts<'a> {
    None,
    /// The parameters of a template.
    Template(Vec<(&'a str, &'a [u8])>),
    /// The groups of an expression, which have numbers too.
    Groups(Captures<'a>),
}

impl Parts<'_> {
    /// The part of that name; nothing if there is none.
    pub(crate) fn get(&self, name: &str) -> &[u8] {
        let part = match self {
            Self::None => None,
            Self::Template(parts) => {
                parts.iter().find(|(known, _)| *known == name).map(|(_, part)| *part)
            }
            Self::Groups(groups) => match name.parse() {
                Ok(number) => groups.get(number),
                Err(_) => groups.name(name),
            }
            .map(|group| group.as_bytes()),
        };
        part.unwrap_or_default()
    }
}

impl PathPattern {
    /// Reads `/exact`, `/prefix/*`, `/users/{id}` or `~regex`.
    ///
    /// # Errors
    ///
    /// Reason and remedy where it is none of them.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        if let Some(expression) = text.strip_prefix('~') {
            let anchored = format!("^(?:{expression})$");
            return Regex::new(&anchored).map(Self::Regex).map_err(|error| {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or("does not parse").to_owned();
                (format!("the expression is malformed: {reason}"), "mend the expression".into())
            });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err((
                format!("`{text}` does not begin with `/`"),
                "write \"/exact\", \"/prefix/*\", \"/users/{id}\" or \"~regex\"".into(),
            ));
        };
        if let Some(prefix) = text.strip_suffix("/*") {
            if prefix.contains(['*', '{']) {
                return Err((
                    "a prefix cannot hold a template or another `*`".into(),
                    "use a regular expression: \"~/users/[^/]+/.*\"".into(),
                ));
            }
            return Ok(Self::Prefix(prefix.as_bytes().into()));
        }
        if rest.contains('*') {
            return Err((
                "`*` stands only at the end, after a slash".into(),
                "write \"/prefix/*\", or a regular expression after `~`".into(),
            ));
        }
        if !rest.contains(['{', '}']) {
            return Ok(Self::Exact(text.as_bytes().into()));
        }
        rest.split('/').map(Segment::parse).collect::<Result<_, _>>().map(Self::Template)
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *path,
            // `/*` takes even the path of `OPTIONS *`, which begins with no slash.
            Self::Prefix(prefix) if prefix.is_empty() => true,
            Self::Prefix(prefix) => path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")),
            Self::Template(segments) => {
                let mut parts = path.get(1..).unwrap_or_default().split(|byte| *byte == b'/');
                let all = segments.iter().all(|segment| {
                    parts.next().is_some_and(|part| match segment {
                        Segment::Literal(literal) => **literal == *part,
                        Segment::Parameter(_) => !part.is_empty(),
                    })
                });
                all && parts.next().is_none()
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }

    /// The parts of a path that matches.
    pub(crate) fn parts<'a>(&'a self, path: &'a [u8]) -> Parts<'a> {
        match self {
            Self::Template(segments) => {
                let parts = path.get(1..).unwrap_or_default().split(|byte| *byte == b'/');
                let named =
                    segments.iter().zip(parts).filter_map(|(segment, part)| match segment {
                        Segment::Parameter(name) => Some((&**name, part)),
                        Segment::Literal(_) => None,
                    });
                Parts::Template(named.collect())
            }
            Self::Regex(regex) => regex.captures(path).map_or(Parts::None, Parts::Groups),
            Self::Any | Self::Exact(_) | Self::Prefix(_) => Parts::None,
        }
    }

    /// Whether a part of the paths that match is called so.
    pub fn has_part(&self, name: &str) -> bool {
        match self {
            Self::Template(segments) => {
                let is = |segment: &Segment| matches!(segment, Segment::Parameter(known) if **known == *name);
                segments.iter().any(is)
            }
            Self::Regex(regex) => match name.parse::<usize>() {
                Ok(number) => number < regex.captures_len(),
                Err(_) => regex.capture_names().flatten().any(|known| known == name),
            },
            Self::Any | Self::Exact(_) | Self::Prefix(_) => false,
        }
    }

    /// What a path that matches has behind the prefix and its slash; all of it where there is no prefix.
    pub(crate) fn below_prefix<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        let below = match self {
            Self::Prefix(prefix) => path.strip_prefix(&**prefix).unwrap_or(path),
            _ => path,
        };
        below.strip_prefix(b"/").unwrap_or(below)
    }

    /// First match wins: exact, template, longest prefix, regex, any.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Exact(_) => (0, 0),
            Self::Template(_) => (1, 0),
            Self::Prefix(prefix) => (2, usize::MAX - prefix.len()),
            Self::Regex(_) => (3, 0),
            Self::Any => (4, 0),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
                Ok(Self::Parameter(name.into()))
            }
            None if !text.contains(['{', '}']) => Ok(Self::Literal(text.as_bytes().into())),
            _ => Err((
                format!("`{text}` is neither text nor one `{{name}}`"),
                "a parameter takes a whole segment: \"/users/{id}\"".into(),
            )),
        }
    }
}

/// What a request shows to the routes.
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a [u8],
    /// Without port.
    pub(crate) host: &'a [u8],
    /// In normal form.
    pub(crate) path: &'a [u8],
    /// Raw, without the question mark.
    pub(crate) query: Option<&'a [u8]>,
    /// Whether a field of that name has exactly that value.
    pub(crate) has_field: &'a dyn Fn(&[u8], &[u8]) -> bool,
}

/// A route's conditions, made ready.
pub(crate) struct Matcher {
    pub(crate) host: HostPattern,
    pub(crate) path: PathPattern,
    /// Which servers clients name whose connections are carried.
    pub(crate) sni: HostPattern,
    methods: Box<[Box<[u8]>]>,
    headers: Box<[(Box<[u8]>, Box<[u8]>)]>,
    query: Box<[(Box<[u8]>, Box<[u8]>)]>,
}

impl Matcher {
    pub(crate) fn build(wanted: &Match) -> Result<Self, (&'static str, String, String)> {
        let host = wanted.host.as_deref().map_or(Ok(HostPattern::Any), HostPattern::parse);
        let sni = wanted.sni.as_deref().map_or(Ok(HostPattern::Any), HostPattern::parse);
        let path = wanted.path.as_deref().map_or(Ok(PathPattern::Any), PathPattern::parse);
        let pairs = |pairs: &[(String, String)]| {
            pairs
                .iter()
                .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()))
                .collect()
        };
        Ok(Self {
            host: host.map_err(|(reason, remedy)| ("host", reason, remedy))?,
            path: path.map_err(|(reason, remedy)| ("path", reason, remedy))?,
            sni: sni.map_err(|(reason, remedy)| ("sni", reason, remedy))?,
            methods: wanted.methods.iter().map(|method| method.as_bytes().into()).collect(),
            headers: pairs(&wanted.headers),
            query: pairs(&wanted.query),
        })
    }

    /// The order among routes of one host: lower comes first.
    pub(super) fn rank(&self) -> (u8, usize) {
        self.path.rank()
    }

    /// Whether `subject`, whose host has been looked at, is what this route is for.
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        self.path.matches(subject.path) && self.meets(subject)
    }

    /// The same of one whose path has been looked at too.
    pub(super) fn meets(&self, subject: &Subject<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| **method == *subject.method))
            && self.headers.iter().all(|(name, value)| (subject.has_field)(name, value))
            && self.query.iter().all(|(name, value)| has_parameter(subject.query, name, value))
    }
}

impl Matcher {
    /// The first condition that `subject`, whose host has been looked at, does not meet.
    pub(super) fn passes_over(&self, subject: &Subject<'_>) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !self.path.matches(subject.path) {
            return Some("its path is another".to_owned());
        }
        if !self.methods.is_empty() && !self.methods.iter().any(|one| **one == *subject.method) {
            let methods: Vec<_> = self.methods.iter().map(|one| text(one)).collect();
            return Some(format!("it takes {} only", methods.join(", ")));
        }
        let header = self.headers.iter().find(|(name, value)| !(subject.has_field)(name, value));
        if let Some((name, value)) = header {
            return Some(format!("it wants the header `{}: {}`", text(name), text(value)));
        }
        let mut wanted = self.query.iter();
        let (name, value) =
            wanted.find(|(name, value)| !has_parameter(subject.query, name, value))?;
        Some(format!("it wants the query parameter `{}={}`", text(name), text(value)))
    }
}

fn has_parameter(query: Option<&[u8]>, name: &[u8], value: &[u8]) -> bool {
    query.unwrap_or_default().split(|byte| *byte == b'&').any(|pair| {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (key, rest) = pair.split_at(at);
        key == name && rest.get(1..).unwrap_or_default() == value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(pattern: &str) -> PathPattern {
        PathPattern::parse(pattern).unwrap()
    }

    #[test]
    fn prefix_matches_itself_and_below_but_not_beside() {
        let users = path("/users/*");
        assert!(
            users.matches(b"/users") && users.matches(b"/users/") && users.matches(b"/users/7/x")
        );
        assert!(!users.matches(b"/usersx") && !users.matches(b"/user"));
        assert!(path("/*").matches(b"/") && path("/*").matches(b"/a/b"));
    }

    #[test]
    fn template_takes_one_segment_a_parameter() {
        let user = path("/users/{id}/posts/{post}");
        assert!(user.matches(b"/users/7/posts/9"));
        for other in ["/users//posts/9", "/users/7/posts", "/users/7/posts/9/x", "/users/7/post/9"]
        {
            assert!(!user.matches(other.as_bytes()), "{other}");
        }
        let parts = user.parts(b"/users/7/posts/99");
        assert_eq!(["id", "post", "none"].map(|name| parts.get(name)), [&b"7"[..], b"99", b""]);
        assert!(user.has_part("post") && !user.has_part("none") && !user.has_part("0"));
    }

    #[test]
    fn regex_is_anchored() {
        let version = path("~/v[0-9]+/.*");
        assert!(
            version.matches(b"/v12/x")
                && !version.matches(b"/a/v12/x")
                && !version.matches(b"/v/x")
        );
    }

    #[test]
    fn groups_of_an_expression_have_numbers_and_names() {
        let version = path("~/v([0-9]+)/(?<rest>.*)");
        let parts = version.parts(b"/v12/a/b");
        let names = ["0", "1", "2", "rest", "3", "none", ""];
        let found = names.map(|name| String::from_utf8_lossy(parts.get(name)).into_owned());
        assert_eq!(found, ["/v12/a/b", "12", "a/b", "a/b", "", "", ""]);
        let known = names.map(|name| version.has_part(name));
        assert_eq!(known, [true, true, true, true, false, false, false]);
    }

    #[test]
    fn malformed_patterns_say_how_to_mend_them() {
        for text in ["users", "/a*b", "/a/*/b", "/{a}/*", "/a{b}", "/{}", "~(", ""] {
            let (reason, remedy) = PathPattern::parse(text).expect_err(text);
            assert!(!reason.is_empty() && !remedy.is_empty(), "{text}");
        }
        for text in ["http://a", "a:80", "*a.b", "", "a/b", "*"] {
            HostPattern::parse(text).expect_err(text);
        }
    }

    #[test]
    fn query_parameters_compare_whole() {
        assert!(has_parameter(Some(b"a=1&v=2"), b"v", b"2"));
        assert!(has_parameter(Some(b"flag"), b"flag", b""));
        assert!(!has_parameter(Some(b"v=22"), b"v", b"2") && !has_parameter(None, b"v", b"2"));
    }
}
