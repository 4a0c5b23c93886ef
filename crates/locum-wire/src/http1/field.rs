//! The field lines of a head or of a trailer section (RFC 9112 §5).

use std::ops::Range;

use super::byte::{self, CLASS, TOKEN, UNDERSCORE};
use super::name::is_underscore_twin;
use super::{Error, Name};

/// One field line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it was sent, a token.
    pub name: &'a [u8],
    /// The value without the white space around it; no control byte but tabs.
    pub value: &'a [u8],
    /// Which of the names that matter it is.
    pub kind: Name,
    /// Whether the field must not be forwarded: it is meant for this connection only (RFC 9110
    /// §7.6.1), by its name or because a Connection line says so, or it would steer the servers
    /// behind (`Proxy`, `X-Original-URL`, `X-Rewrite-URL`).
    pub hop: bool,
    /// Where the whole line is in the buffer, CRLF included: neighbours can be copied at once.
    pub line: Range<usize>,
}

/// Where one field line is, for whoever copies lines and looks at few of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLine {
    /// Which of the names that matter it has.
    pub kind: Name,
    /// As [`Field::hop`].
    pub hop: bool,
    /// As [`Field::line`].
    pub at: Range<usize>,
    name_end: usize,
}

impl FieldLine {
    /// The name as it was sent, in the buffer that the head was read from.
    #[must_use]
    pub fn name<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.at.start..self.name_end]
    }
}

/// What a look at the buffer found.
pub(super) enum Line {
    /// The next line is not complete.
    Partial,
    /// A field line: the last of the entries.
    Field(Name),
    /// The empty line that ends the section; it ends at this position.
    End(usize),
}

/// A field section, read line by line and remembered as positions.
///
/// Bytes are looked at in order and once, however often the buffer grows, so that neither the
/// verdict nor the work depends on how a sender cut them.
#[derive(Debug, Clone)]
pub(super) struct Section {
    entries: Vec<Entry>,
    /// The first entry of each name, plus one.
    first: [u16; Name::COUNT],
    /// Where the current line begins.
    line: usize,
    /// Everything before it has been checked.
    checked: usize,
    /// Where the current line's colon is; none is at 0, which belongs to the name.
    colon: usize,
    kind: Name,
    /// Whether the name of the last field that is not known has an underscore.
    has_underscore: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    line: u32,
    colon: u32,
    value: u32,
    value_end: u32,
    line_end: u32,
    kind: Name,
    hop: bool,
}

impl Section {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            first: [0; Name::COUNT],
            line: 0,
            checked: 0,
            colon: 0,
            kind: Name::Other,
            has_underscore: false,
        }
    }

    /// Forgets everything but the memory; the next section begins at `start`.
    pub(super) fn restart(&mut self, start: usize) {
        self.entries.clear();
        self.first = [0; Name::COUNT];
        self.begin_line(start);
    }

    /// Reads on. `buf` is the same as before, or longer.
    #[inline]
    pub(super) fn next_line(&mut self, buf: &[u8], most: usize) -> Result<Line, Error> {
        if self.colon == 0 {
            match buf[self.line..] {
                [b'\r', b'\n', ..] => return Ok(Line::End(self.line + 2)),
                [] | [b'\r'] => return Ok(Line::Partial),
                [b'\r', ..] => return Err(Error::BareCr),
                // RFC 9112 §5.2 and §2.2: no folded lines, no white space before the first field.
                [b' ' | b'\t', ..] => return Err(Error::FoldedLine),
                [b':', ..] => return Err(Error::FieldName),
                _ if !self.read_name(buf)? => return Ok(Line::Partial),
                _ => {}
            }
        }
        let Some(line_end) = self.read_value(buf)? else { return Ok(Line::Partial) };
        if self.entries.len() >= most.min(usize::from(u16::MAX) - 1) {
            return Err(Error::TooManyFields);
        }
        self.push(buf, line_end);
        Ok(Line::Field(self.kind))
    }

    /// Whether the name of the last field, which is not known, could pass for one that is.
    pub(super) fn is_underscore_twin(&self, buf: &[u8]) -> bool {
        self.has_underscore
            && self.entries.last().is_some_and(|it| is_underscore_twin(it.name(buf)))
    }

    /// The value of the last field.
    pub(super) fn last_value<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        self.entries.last().map_or(&[], |entry| entry.value(buf))
    }

    /// Where the value of the last field is.
    pub(super) fn last_value_at(&self) -> Range<usize> {
        self.entries.last().map_or(0..0, |entry| entry.value as usize..entry.value_end as usize)
    }

    /// Whether the last field is the first of its name.
    pub(super) fn last_is_first(&self, kind: Name) -> bool {
        usize::from(self.first[kind as usize]) == self.entries.len()
    }

    /// The position of the first value of `kind`.
    pub(super) fn position(&self, kind: Name) -> Option<Range<usize>> {
        let entry = self.entry(kind)?;
        Some(entry.value as usize..entry.value_end as usize)
    }

    /// The first value of `kind`.
    pub(super) fn get<'a>(&self, buf: &'a [u8], kind: Name) -> Option<&'a [u8]> {
        self.entry(kind).map(|entry| entry.value(buf))
    }

    /// The first value of the field `name`.
    pub(super) fn get_other<'a>(&self, buf: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        self.entries
            .iter()
            .find(|entry| entry.name(buf).eq_ignore_ascii_case(name))
            .map(|entry| entry.value(buf))
    }

    /// The fields in the order they came.
    pub(super) fn fields<'a>(&'a self, buf: &'a [u8]) -> impl Iterator<Item = Field<'a>> + 'a {
        self.entries.iter().map(|entry| Field {
            name: entry.name(buf),
            value: entry.value(buf),
            kind: entry.kind,
            hop: entry.hop,
            line: entry.line as usize..entry.line_end as usize,
        })
    }

    /// Where the fields are, in the order they came.
    pub(super) fn lines(&self) -> impl Iterator<Item = FieldLine> + '_ {
        self.entries.iter().map(|entry| FieldLine {
            kind: entry.kind,
            hop: entry.hop,
            at: entry.line as usize..entry.line_end as usize,
            name_end: entry.colon as usize,
        })
    }

    /// Marks every field called `name` as meant for the next hop only.
    pub(super) fn mark_hop(&mut self, buf: &[u8], name: &[u8]) {
        for entry in &mut self.entries {
            entry.hop |= entry.name(buf).eq_ignore_ascii_case(name);
        }
    }

    fn entry(&self, kind: Name) -> Option<&Entry> {
        if kind == Name::Other {
            return None;
        }
        let at = usize::from(self.first[kind as usize]).checked_sub(1)?;
        self.entries.get(at)
    }

    /// Reads the name up to its colon. False: it is not there yet.
    #[inline]
    fn read_name(&mut self, buf: &[u8]) -> Result<bool, Error> {
        let unread = &buf[self.checked..];
        let Some(colon) = byte::find_colon(unread) else {
            check_name(unread)?;
            self.checked = buf.len();
            return Ok(false);
        };
        let name = &buf[self.line..self.checked + colon];
        self.kind = Name::of(name);
        // A name that is known has only bytes that names may have.
        if self.kind == Name::Other {
            self.has_underscore = check_name(name)?;
        }
        self.colon = self.checked + colon;
        self.checked = self.colon + 1;
        Ok(true)
    }

    /// Reads the value; returns where its line's CRLF begins.
    #[inline]
    fn read_value(&mut self, buf: &[u8]) -> Result<Option<usize>, Error> {
        loop {
            self.checked += byte::text_len(&buf[self.checked..]);
            match buf[self.checked..] {
                [b'\r', b'\n', ..] => return Ok(Some(self.checked)),
                [b'\t', ..] => self.checked += 1,
                [] | [b'\r'] => return Ok(None),
                [byte, ..] => return Err(byte::refusal(byte, Error::Control)),
            }
        }
    }

    #[inline]
    fn push(&mut self, buf: &[u8], line_end: usize) {
        let mut value = self.colon + 1;
        let mut value_end = line_end;
        while value < value_end && matches!(buf[value], b' ' | b'\t') {
            value += 1;
        }
        while value_end > value && matches!(buf[value_end - 1], b' ' | b'\t') {
            value_end -= 1;
        }
        self.entries.push(Entry {
            line: self.line as u32,
            colon: self.colon as u32,
            value: value as u32,
            value_end: value_end as u32,
            line_end: line_end as u32 + 2,
            kind: self.kind,
            hop: self.kind.stops_here(),
        });
        let first = &mut self.first[self.kind as usize];
        if *first == 0 {
            *first = self.entries.len() as u16;
        }
        self.begin_line(line_end + 2);
    }

    fn begin_line(&mut self, line: usize) {
        self.line = line;
        self.checked = line;
        self.colon = 0;
    }
}

impl Entry {
    fn name<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.line as usize..self.colon as usize]
    }

    fn value<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.value as usize..self.value_end as usize]
    }
}

/// Checks (a part of) a name; says whether it has an underscore.
fn check_name(name: &[u8]) -> Result<bool, Error> {
    let (all, any) = name.iter().fold((TOKEN, 0), |(all, any), &byte| {
        let class = CLASS[usize::from(byte)];
        (all & class, any | class)
    });
    if all == TOKEN {
        return Ok(any & UNDERSCORE != 0);
    }
    Err(match name.iter().find(|it| !byte::is(**it, TOKEN)) {
        // RFC 9112 §5.1: a server must refuse it, so that nobody reads another name.
        Some(b' ' | b'\t') => Error::SpaceBeforeColon,
        Some(b'\r') | None => Error::FieldName,
        Some(&byte) => byte::refusal(byte, Error::FieldName),
    })
}
