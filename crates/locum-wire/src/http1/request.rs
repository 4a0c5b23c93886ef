//! A request as its head tells it.

use super::field::{Field, FieldLine};
use super::head::{Form, Head};
use super::{Framing, Name, Version, byte};

/// A request: a view of a complete [`Head`] and the buffer it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub(super) head: &'a Head,
    pub(super) buf: &'a [u8],
}

/// The form of a request-target (RFC 9112 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A path and perhaps a query: what clients send to servers.
    Origin,
    /// A whole URI: what clients send to proxies.
    Absolute,
    /// `*`: OPTIONS of the server itself.
    Asterisk,
}

impl<'a> Request<'a> {
    /// The method, a token; its case matters.
    #[must_use]
    pub fn method(&self) -> &'a [u8] {
        self.head.method(self.buf)
    }

    /// Whether the method is HEAD, whose answer has no content.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// Whether the method changes nothing (RFC 9110 §9.2.1).
    #[must_use]
    pub fn is_safe(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"OPTIONS")
    }

    /// Whether asking twice is like asking once (RFC 9110 §9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self.method(), b"PUT" | b"DELETE")
    }

    /// The form of the target.
    #[must_use]
    pub fn target(&self) -> Target {
        match self.head.form {
            Form::Origin => Target::Origin,
            Form::Absolute => Target::Absolute,
            Form::Asterisk => Target::Asterisk,
        }
    }

    /// The target as it was sent, for logs.
    #[must_use]
    pub fn raw_target(&self) -> &'a [u8] {
        &self.buf[self.head.target.clone()]
    }

    /// Who the request is for: the authority of an absolute target, else Host (RFC 9112 §3.2.2).
    /// A host with an optional port, in the case it was sent. None only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Option<&'a [u8]> {
        self.head.host.clone().map(|at| &self.buf[at])
    }

    /// The path as it was sent: it begins with a slash, or is `*`. [`normalise`] it before it
    /// decides anything.
    ///
    /// [`normalise`]: super::path::normalise
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        match (self.head.form, &self.buf[self.head.path.clone()]) {
            (Form::Asterisk, _) => b"*",
            // RFC 9110 §4.2.3: an empty path of an absolute target.
            (_, b"") => b"/",
            (_, path) => path,
        }
    }

    /// The query as it was sent, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        self.head.query.map(|at| &self.buf[at + 1..self.head.target.end])
    }

    /// The version it is processed as.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Where the field lines are, in the order they came.
    pub fn lines(&self) -> impl Iterator<Item = FieldLine> + use<'a> {
        self.head.section.lines()
    }

    /// The fields in the order they came.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.head.section.fields(self.buf)
    }

    /// The first value of a field that matters; nothing for [`Name::Other`].
    #[must_use]
    pub fn get(&self, name: Name) -> Option<&'a [u8]> {
        self.head.section.get(self.buf, name)
    }

    /// The first value of any field, by its name in any case.
    #[must_use]
    pub fn get_other(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.head.section.get_other(self.buf, name)
    }

    /// How the end of the content is found; never [`Framing::UntilClose`].
    #[must_use]
    pub fn framing(&self) -> Framing {
        // RFC 9112 §6.3 rule 7.
        self.head.meaning.framing().unwrap_or(Framing::None)
    }

    /// Whether the client wants to keep the connection (RFC 9112 §9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.head.meaning.persists(self.head.version)
    }

    /// Whether the client may wait for a 100 before it sends the content (RFC 9110 §10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.head.version == Version::Http11 && self.get(Name::Expect).is_some()
    }

    /// What the client would upgrade to, when it asks as it must: HTTP/1.1, one Upgrade line, and
    /// a Connection line that names it (RFC 9110 §7.8).
    #[must_use]
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        if self.head.version != Version::Http11 || !self.head.meaning.upgrade {
            return None;
        }
        let mut lines = self.fields().filter(|field| field.kind == Name::Upgrade);
        let protocol = lines.next()?.value;
        lines.next().is_none().then_some(protocol)
    }

    /// Whether the client takes trailers (RFC 9110 §10.1.4).
    #[must_use]
    pub fn te_trailers(&self) -> bool {
        // The slot first: most requests have no TE, and then no field is looked at.
        self.get(Name::Te).is_some()
            && self
                .fields()
                .filter(|field| field.kind == Name::Te)
                .flat_map(|field| field.value.split(|&it| it == b','))
                .any(|coding| byte::trim(coding).eq_ignore_ascii_case(b"trailers"))
    }
}
