//! The object that a request or an answer is, member by member, its values unread.

use std::borrow::Cow;

use super::scan::{length, white};
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
        let (element, rest) = self.rest.split_at_checked(length(self.rest.as_bytes())?)?;
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
    pub(super) jsonrpc: Member<'a>,
    pub(super) method: Member<'a>,
    pub(super) params: Member<'a>,
    pub(super) id: Member<'a>,
}

#[derive(Debug, Default)]
pub(super) struct Member<'a> {
    /// By its exact name.
    pub(super) exact: Option<&'a str>,
    /// Without regard to case, as Go's `encoding/json` finds it.
    pub(super) folded: Option<&'a str>,
}

impl<'a> Members<'a> {
    /// Those of `object`.
    pub(super) fn of(object: &'a str) -> Self {
        let mut members = Self::default();
        let mut parts = Parts::of(object);
        while let Some((name, value)) = parts.member() {
            let (member, exact) = match name.len() {
                2 => (&mut members.id, "id"),
                6 if name.as_bytes()[0] | 0x20 == b'm' => (&mut members.method, "method"),
                6 => (&mut members.params, "params"),
                7 => (&mut members.jsonrpc, "jsonrpc"),
                _ => continue,
            };
            if name == exact {
                member.exact = Some(value);
            }
            if name.eq_ignore_ascii_case(exact) {
                member.folded = Some(value);
            }
        }
        members
    }

    /// Whether they are of JSON-RPC 2.0.
    pub(super) fn is_2(&self) -> bool {
        self.jsonrpc.exact.and_then(string).is_some_and(|version| version == "2.0")
    }
}

/// The string that `value` is, if it is one.
pub(super) fn string(value: &str) -> Option<Cow<'_, str>> {
    text(value).map(|(text, _)| text)
}
