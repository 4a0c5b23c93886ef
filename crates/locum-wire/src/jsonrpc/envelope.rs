//! The object that a request or an answer is, member by member, its values unread.

use std::borrow::Cow;

use super::scan::{Scanner, white};
use super::text::text;

/// Goes through the members of an object, or the elements of an array, which is known to be well-formed.
#[derive(Clone, Debug)]
pub(super) struct Parts<'a> {
    rest: &'a str,
}

impl<'a> Parts<'a> {
    /// What is within `value`, an array or an object.
    pub(super) fn of(value: &'a str) -> Self {
        Self { rest: value.get(1..).unwrap_or_default() }
    }

    /// The next element.
    pub(super) fn element(&mut self) -> Option<&'a str> {
        self.pass(b',');
        let end = match self.rest.bytes().next()? {
            b']' | b'}' => return None,
            _ => Scanner::new(usize::MAX).end(self.rest.as_bytes()).ok()??,
        };
        let (element, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(element)
    }

    /// The next member: its name, and its value.
    pub(super) fn member(&mut self) -> Option<(Cow<'a, str>, &'a str)> {
        self.pass(b',');
        let (name, rest) = text(self.rest)?;
        self.rest = rest;
        self.pass(b':');
        Some((name, self.element()?))
    }

    /// Passes over white space around `byte`, and that.
    fn pass(&mut self, byte: u8) {
        let bytes = self.rest.as_bytes();
        let before = white(bytes);
        let after = match bytes.get(before) {
            Some(it) if *it == byte => {
                before + 1 + white(bytes.get(before + 1..).unwrap_or_default())
            }
            _ => before,
        };
        self.rest = self.rest.get(after..).unwrap_or_default();
    }
}

/// The members of a request, unread; of several of the same name the last.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) jsonrpc: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) params: Option<&'a str>,
    pub(super) id: Option<&'a str>,
}

impl<'a> Members<'a> {
    /// Those of `object`, whose names have to be exact.
    pub(super) fn exact(object: &'a str) -> Self {
        Self::of(object, |name, member| name == member)
    }

    /// Those of `object`, without regard to case, as Go's `encoding/json` finds them.
    pub(super) fn folded(object: &'a str) -> Self {
        Self::of(object, str::eq_ignore_ascii_case)
    }

    /// Whether they are of JSON-RPC 2.0.
    pub(super) fn is_2(&self) -> bool {
        self.jsonrpc.and_then(string).is_some_and(|version| version == "2.0")
    }

    fn of(object: &'a str, is: fn(&str, &str) -> bool) -> Self {
        let mut members = Self::default();
        let mut parts = Parts::of(object);
        while let Some((name, value)) = parts.member() {
            let member = if is(&name, "method") {
                &mut members.method
            } else if is(&name, "params") {
                &mut members.params
            } else if is(&name, "id") {
                &mut members.id
            } else if is(&name, "jsonrpc") {
                &mut members.jsonrpc
            } else {
                continue;
            };
            *member = Some(value);
        }
        members
    }
}

/// The string that `value` is, if it is one.
pub(super) fn string(value: &str) -> Option<Cow<'_, str>> {
    text(value).map(|(text, _)| text)
}
