//! What becomes of header fields.

use super::{HeaderEdits, Owned, Settings};
use crate::cors;

/// Header edits made ready: lower-case names to drop, lines to append.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    pub(crate) dropped: Vec<Box<[u8]>>,
    /// What only the proxy may say of a request, however a client spells it.
    pub(crate) owned: Owned,
    pub(crate) lines: Box<[u8]>,
}

impl Edits {
    pub(crate) fn build(edits: &HeaderEdits) -> Self {
        let lower = |name: &String| name.to_ascii_lowercase().into_bytes().into_boxed_slice();
        let dropped = edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name));
        let lines = edits.set.iter().chain(&edits.add);
        Self {
            dropped: dropped.map(lower).collect(),
            owned: Owned::default(),
            lines: lines
                .flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes())
                .collect(),
        }
    }

    /// What the answer's own fields become; where pages of other origins are told who may read, that is ours to say.
    pub(super) fn of_answers(settings: &Settings) -> Self {
        let mut edits = settings.response_headers.clone();
        if settings.cors.is_some() {
            edits.remove.extend(cors::OURS.map(str::to_owned));
        }
        Self::build(&edits)
    }

    /// Whether fields stay as they are.
    pub(crate) fn are_none(&self) -> bool {
        self.dropped.is_empty() && self.lines.is_empty()
    }

    pub(crate) fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(name))
    }

    /// Whether no field of a client's stays behind.
    pub(crate) fn strips_nothing(&self) -> bool {
        self.dropped.is_empty() && self.owned.is_empty()
    }

    /// Whether a client's field of that name stays behind.
    pub(crate) fn strips(&self, name: &[u8]) -> bool {
        self.drops(name) || self.owned.holds(name)
    }
}
