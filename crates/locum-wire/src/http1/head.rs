//! The head of a message: its first line and its fields, as positions in the caller's buffer.

use std::ops::Range;

use super::byte::{self, PATH, QUERY, TOKEN};
use super::field::{Line, Section};
use super::meaning::Meaning;
use super::{Error, Limits, Name, Request, Response, Version, authority};

/// The head of a request or of an answer: an index into the caller's buffer, which must begin
/// where the head does.
///
/// A head is made once and used for message after message: [`clear`](Self::clear) keeps its
/// memory, so that parsing allocates nothing once warm.
#[derive(Debug, Clone)]
pub struct Head {
    stage: Stage,
    /// Everything before it in the first line has been looked at.
    checked: usize,
    /// Where the first line begins, after empty lines.
    start: usize,
    end: usize,
    pub(super) version: Version,
    pub(super) method_end: usize,
    pub(super) target: Range<usize>,
    pub(super) path: Range<usize>,
    /// Where the query's `?` is.
    pub(super) query: Option<usize>,
    pub(super) form: Form,
    pub(super) host: Option<Range<usize>>,
    pub(super) status: u16,
    pub(super) has_exact_status_line: bool,
    pub(super) reason: Range<usize>,
    pub(super) section: Section,
    pub(super) meaning: Meaning,
}

/// The forms of a request-target that are served (RFC 9112 §3.2). The fourth belongs to CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Origin,
    Absolute,
    Asterisk,
}

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Method,
    Path,
    Query,
    Version,
    Reason,
    Fields,
    Complete,
}

/// A sloppy client ends a body with an empty line that is not part of it (RFC 9112 §2.2).
const EMPTY_LINES: usize = 4;

/// Methods are short; RFC 9112 §3 asks for 501 for one longer than any that is known.
const METHOD_BYTES: usize = 32;

impl Head {
    /// An empty head.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stage: Stage::Start,
            checked: 0,
            start: 0,
            end: 0,
            version: Version::Http11,
            method_end: 0,
            target: 0..0,
            path: 0..0,
            query: None,
            form: Form::Origin,
            host: None,
            status: 0,
            has_exact_status_line: true,
            reason: 0..0,
            section: Section::new(),
            meaning: Meaning::default(),
        }
    }

    /// Makes it ready for the next message; the memory is kept.
    pub fn clear(&mut self) {
        self.stage = Stage::Start;
        self.checked = 0;
        self.start = 0;
        self.end = 0;
        self.query = None;
        self.host = None;
        self.meaning.restart();
    }

    /// Reads the head of a request as far as it is there.
    ///
    /// True: it is complete, and the first [`len`](Self::len) bytes of `buf` are the head. False:
    /// call again with the same bytes and more behind them; only what is new is looked at.
    ///
    /// Malformed bytes are refused when they are seen, not when the head is complete, and the
    /// verdict is the same however the bytes were cut.
    ///
    /// # Errors
    ///
    /// The first reason to refuse the request, by position. After it the head must be
    /// [cleared](Self::clear).
    pub fn parse_request(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, Error> {
        let seen = seen(buf, limits);
        if !self.read_request_line(seen, limits)? {
            return self.incomplete(seen, limits);
        }
        if self.stage == Stage::Complete {
            return Ok(true);
        }
        loop {
            match self.section.next_line(seen, limits.fields)? {
                Line::Field(kind) => self.read_request_field(kind, seen)?,
                Line::End(end) => return self.finish_request(seen, end),
                Line::Partial => return self.incomplete(seen, limits),
            }
        }
    }

    /// Reads the head of an answer as far as it is there; see [`parse_request`].
    ///
    /// Interim (1xx) answers are heads of their own.
    ///
    /// # Errors
    ///
    /// The first reason to refuse the answer, by position. After it the head must be
    /// [cleared](Self::clear).
    ///
    /// [`parse_request`]: Self::parse_request
    pub fn parse_response(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, Error> {
        let seen = seen(buf, limits);
        if !self.read_status_line(seen)? {
            return self.incomplete(seen, limits);
        }
        if self.stage == Stage::Complete {
            return Ok(true);
        }
        loop {
            match self.section.next_line(seen, limits.fields)? {
                Line::Field(kind) => {
                    self.meaning.read(kind, &self.section, seen, self.version)?;
                }
                Line::End(end) => return self.finish_response(seen, end),
                Line::Partial => return self.incomplete(seen, limits),
            }
        }
    }

    /// How many bytes of the buffer a complete head takes, skipped empty lines included.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a head is complete or not, never empty")]
    pub fn len(&self) -> usize {
        self.end
    }

    /// Whether `buf` holds any byte of a message yet, and not only an empty line to skip: the
    /// difference between a peer that went away and one that broke off.
    #[must_use]
    pub fn is_started(&self, buf: &[u8]) -> bool {
        buf.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// The request that was read from `buf`. Only a complete head has a meaning.
    ///
    /// # Panics
    ///
    /// The views panic when `buf` is shorter than the head that was read from it.
    #[must_use]
    pub fn request<'a>(&'a self, buf: &'a [u8]) -> Request<'a> {
        debug_assert_eq!(self.stage, Stage::Complete);
        Request { head: self, buf }
    }

    /// The answer that was read from `buf`. Only a complete head has a meaning.
    ///
    /// # Panics
    ///
    /// The views panic when `buf` is shorter than the head that was read from it.
    #[must_use]
    pub fn response<'a>(&'a self, buf: &'a [u8]) -> Response<'a> {
        debug_assert_eq!(self.stage, Stage::Complete);
        Response { head: self, buf }
    }

    /// Bytes beyond the limit are never looked at, so a head that is not complete within it is
    /// too large, whether they are there or not.
    fn incomplete(&self, seen: &[u8], limits: &Limits) -> Result<bool, Error> {
        if seen.len() < most(limits) {
            return Ok(false);
        }
        match self.stage {
            Stage::Path | Stage::Query => Err(Error::TargetTooLong),
            _ => Err(Error::HeadTooLarge),
        }
    }
}

/// Requests.
impl Head {
    /// RFC 9112 §3. False: not complete.
    #[inline]
    fn read_request_line(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, Error> {
        loop {
            let is_read = match self.stage {
                Stage::Start => self.skip_empty_lines(buf)?,
                Stage::Method => self.read_method(buf)?,
                Stage::Path => self.read_target(buf, limits, PATH)?,
                Stage::Query => self.read_target(buf, limits, QUERY)?,
                Stage::Version => self.read_version(buf)?,
                _ => return Ok(true),
            };
            if !is_read {
                return Ok(false);
            }
        }
    }

    /// RFC 9112 §2.2: at least one empty line before a request is ignored.
    fn skip_empty_lines(&mut self, buf: &[u8]) -> Result<bool, Error> {
        loop {
            match buf.get(self.start..).unwrap_or_default() {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] if self.start >= 2 * EMPTY_LINES => {
                    return Err(Error::EmptyLines);
                }
                [b'\r', b'\n', ..] => self.start += 2,
                _ => break,
            }
        }
        self.checked = self.start;
        self.stage = Stage::Method;
        Ok(true)
    }

    fn read_method(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let most = buf.len().min(self.start + METHOD_BYTES + 1);
        let unread = &buf[self.checked..most];
        let Some(stop) = unread.iter().position(|&it| !byte::is(it, TOKEN)) else {
            self.checked = most;
            if most - self.start > METHOD_BYTES {
                return Err(Error::MethodUnsupported);
            }
            return Ok(false);
        };
        self.checked += stop;
        match buf[self.checked] {
            b' ' if self.checked > self.start => {}
            b' ' | b'\r' => return Err(Error::RequestLine),
            byte => return Err(byte::refusal(byte, Error::Method)),
        }
        // A gateway is no tunnel (RFC 9110 §9.3.6) and echoes no credentials (§9.3.8).
        if matches!(&buf[self.start..self.checked], b"CONNECT" | b"TRACE") {
            return Err(Error::MethodUnsupported);
        }
        self.method_end = self.checked;
        self.checked += 1;
        self.target = self.checked..self.checked;
        self.stage = Stage::Path;
        Ok(true)
    }

    /// Reads the target as far as its bytes are of `class`.
    fn read_target(&mut self, buf: &[u8], limits: &Limits, class: u8) -> Result<bool, Error> {
        let most = buf.len().min(self.target.start.saturating_add(limits.target_bytes) + 1);
        let unread = buf.get(self.checked..most).unwrap_or_default();
        let Some(stop) = unread.iter().position(|&it| !byte::is(it, class)) else {
            if most.saturating_sub(self.target.start) > limits.target_bytes {
                return Err(Error::TargetTooLong);
            }
            self.checked = self.checked.max(most);
            return Ok(false);
        };
        self.checked += stop;
        match buf[self.checked] {
            b'?' => {
                self.query = Some(self.checked);
                self.stage = Stage::Query;
            }
            b' ' if self.checked > self.target.start => {
                self.target.end = self.checked;
                self.read_form(buf)?;
                self.stage = Stage::Version;
            }
            // White space twice, or HTTP/0.9, which has no version.
            b' ' | b'\r' => return Err(Error::RequestLine),
            byte => return Err(byte::refusal(byte, Error::Target)),
        }
        self.checked += 1;
        Ok(true)
    }

    /// RFC 9112 §3.2: which form the target has, and what it names.
    fn read_form(&mut self, buf: &[u8]) -> Result<(), Error> {
        let target = &buf[self.target.clone()];
        let is_options = &buf[self.start..self.method_end] == b"OPTIONS";
        let path_end = self.query.unwrap_or(self.target.end);
        self.path = self.target.start..path_end;
        if target[0] == b'/' {
            self.form = Form::Origin;
            return Ok(());
        }
        if target == b"*" && is_options {
            self.form = Form::Asterisk;
            return Ok(());
        }
        let scheme = SCHEMES
            .iter()
            .find(|it| target.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it)))
            .ok_or(Error::Target)?;
        let host = self.target.start + scheme.len();
        let host_end = memchr::memchr(b'/', &buf[host..path_end]).map_or(path_end, |at| host + at);
        if !authority::is_valid(&buf[host..host_end]) {
            return Err(Error::Host);
        }
        self.host = Some(host..host_end);
        self.path.start = host_end;
        // RFC 9112 §3.2.4: to the server itself, this is the asterisk.
        let is_whole_server = is_options && host_end == self.target.end;
        self.form = if is_whole_server { Form::Asterisk } else { Form::Absolute };
        Ok(())
    }

    /// RFC 9112 §2.3, and the end of the line.
    #[inline]
    fn read_version(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let version = buf.get(self.checked..).unwrap_or_default();
        self.version = match version {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b'\r', b'\n', ..] => {
                version_of(*minor)
            }
            _ => return refuse_version(version).map_or(Ok(false), Err),
        };
        self.begin_fields(self.checked + 10);
        Ok(true)
    }

    #[inline]
    fn read_request_field(&mut self, kind: Name, buf: &[u8]) -> Result<(), Error> {
        match kind {
            Name::Other if self.section.is_underscore_twin(buf) => Err(Error::UnderscoreName),
            Name::Other => Ok(()),
            // RFC 9112 §3.2: also when they are equal.
            Name::Host if !self.section.last_is_first(kind) => Err(Error::HostRepeated),
            Name::Host if !authority::is_valid(self.section.last_value(buf)) => Err(Error::Host),
            Name::Host => {
                // RFC 9112 §3.2.2: the target's own authority wins.
                let host = self.section.last_value_at();
                self.host.get_or_insert(host);
                Ok(())
            }
            // RFC 9110 §10.1.1.
            Name::Expect if !self.section.last_value(buf).eq_ignore_ascii_case(CONTINUE) => {
                Err(Error::Expectation)
            }
            _ => self.meaning.read(kind, &self.section, buf, self.version),
        }
    }

    fn finish_request(&mut self, buf: &[u8], end: usize) -> Result<bool, Error> {
        // RFC 9112 §3.2: also with an absolute target.
        if self.version == Version::Http11 && self.section.position(Name::Host).is_none() {
            return Err(Error::HostMissing);
        }
        self.finish(buf, end)
    }
}

/// Answers.
impl Head {
    /// RFC 9112 §4. False: not complete.
    #[inline]
    fn read_status_line(&mut self, buf: &[u8]) -> Result<bool, Error> {
        if self.stage == Stage::Start && !self.read_status(buf)? {
            return Ok(false);
        }
        if self.stage == Stage::Reason && !self.read_reason(buf)? {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads `HTTP/1.1 200 `. The space is often missing when no reason follows.
    fn read_status(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'0'..=b'9',
            b' ',
            hundreds @ b'1'..=b'5',
            tens @ b'0'..=b'9',
            ones @ b'0'..=b'9',
            after @ (b' ' | b'\r'),
            ..,
        ] = buf
        else {
            return refuse_status(buf).map_or(Ok(false), Err);
        };
        let digit = |it: &u8| u16::from(it - b'0');
        self.version = version_of(*minor);
        self.status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
        self.has_exact_status_line = *after == b' ';
        self.checked = 12 + usize::from(self.has_exact_status_line);
        self.reason = self.checked..self.checked;
        self.stage = Stage::Reason;
        Ok(true)
    }

    fn read_reason(&mut self, buf: &[u8]) -> Result<bool, Error> {
        loop {
            self.checked += byte::text_len(&buf[self.checked..]);
            match buf[self.checked..] {
                [b'\r', b'\n', ..] => break,
                [b'\t', ..] => self.checked += 1,
                [] | [b'\r'] => return Ok(false),
                [byte, ..] => return Err(byte::refusal(byte, Error::Control)),
            }
        }
        self.reason.end = self.checked;
        self.begin_fields(self.checked + 2);
        Ok(true)
    }

    fn finish_response(&mut self, buf: &[u8], end: usize) -> Result<bool, Error> {
        // RFC 9112 §6.1: never in an answer that has no content by its status.
        if self.meaning.chunked && (self.status < 200 || self.status == 204) {
            return Err(Error::TransferEncodingMisplaced);
        }
        self.finish(buf, end)
    }
}

/// Both.
impl Head {
    fn begin_fields(&mut self, at: usize) {
        self.section.restart(at);
        self.stage = Stage::Fields;
    }

    #[inline]
    fn finish(&mut self, buf: &[u8], end: usize) -> Result<bool, Error> {
        self.meaning.mark_nominated(&mut self.section, buf);
        self.end = end;
        self.stage = Stage::Complete;
        Ok(true)
    }

    pub(super) fn method<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.start..self.method_end]
    }
}

/// The schemes a gateway serves; the path of a URI begins after `//` and the authority.
const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

const CONTINUE: &[u8] = b"100-continue";

/// The part of `buf` that the limit allows to look at. Positions are kept in 32 bits.
fn seen<'a>(buf: &'a [u8], limits: &Limits) -> &'a [u8] {
    &buf[..buf.len().min(most(limits))]
}

fn most(limits: &Limits) -> usize {
    limits.head_bytes.min(u32::MAX as usize)
}

/// RFC 9110 §2.5: a later minor version is processed as the highest that is known.
fn version_of(minor: u8) -> Version {
    if minor == b'0' { Version::Http10 } else { Version::Http11 }
}

/// What is wrong with the version and the line end in `bytes`, if anything is wrong yet.
fn refuse_version(bytes: &[u8]) -> Option<Error> {
    let at = first_difference(bytes, b"HTTP/d.d\r\n")
        .or_else(|| bytes.get(5).filter(|it| **it != b'1').map(|_| 5))?;
    let major_is_unknown = bytes.get(5).is_some_and(|it| it.is_ascii_digit() && *it != b'1');
    Some(match bytes[at] {
        _ if at >= 5 && major_is_unknown => Error::VersionUnsupported,
        0 => Error::Nul,
        b'\n' => Error::BareLf,
        _ if at == 9 => Error::BareCr,
        _ => Error::Version,
    })
}

/// What is wrong with the fixed part of the status line in `bytes`, if anything is wrong yet.
fn refuse_status(bytes: &[u8]) -> Option<Error> {
    let is_wrong = first_difference(bytes, b"HTTP/d.d ddd").is_some()
        || bytes.get(5).is_some_and(|it| *it != b'1')
        || bytes.get(9).is_some_and(|it| !matches!(it, b'1'..=b'5'))
        || bytes.get(12).is_some_and(|it| !matches!(it, b' ' | b'\r'));
    is_wrong.then_some(Error::StatusLine)
}

/// Where `bytes` first differ from `pattern`, in which `d` is any digit.
fn first_difference(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.iter().zip(pattern).position(|(byte, wanted)| match wanted {
        b'd' => !byte.is_ascii_digit(),
        _ => byte != wanted,
    })
}
