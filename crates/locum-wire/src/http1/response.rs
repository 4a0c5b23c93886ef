//! An answer as its head tells it.

use super::field::{Field, FieldLine};
use super::head::Head;
use super::{Framing, Name, Version};

/// An answer: a view of a complete [`Head`] and the buffer it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    pub(super) head: &'a Head,
    pub(super) buf: &'a [u8],
}

impl<'a> Response<'a> {
    /// The status, 100 to 599.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Whether the final answer is still to come. 101 is final: it ends HTTP.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.head.status < 200 && self.head.status != 101
    }

    /// The reason phrase; often empty, never important.
    #[must_use]
    pub fn reason(&self) -> &'a [u8] {
        &self.buf[self.head.reason.clone()]
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

    /// How the end of the content is found (RFC 9112 §6.3).
    #[must_use]
    pub fn framing(&self, request_was_head: bool) -> Framing {
        if request_was_head || !self.may_have_content() {
            return Framing::None;
        }
        self.head.meaning.framing().unwrap_or(Framing::UntilClose)
    }

    /// Whether the upstream wants to keep the connection (RFC 9112 §9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.head.meaning.persists(self.head.version)
    }

    /// Whether the connection can carry another request after this answer and its content. It
    /// must hold for the interim answers before it as well, and nothing may follow the content;
    /// one that ends with the connection is over anyhow.
    ///
    /// An answer that must not have content but gives it a length is not trusted to leave it out:
    /// it would be read as the next answer. Nor is a sender that leaves out the space after the
    /// status, which is accepted but not what RFC 9112 §4 says.
    #[must_use]
    pub fn reusable(&self) -> bool {
        let is_sound = self.may_have_content() || self.head.meaning.length.unwrap_or(0) == 0;
        self.keep_alive() && self.head.status != 101 && is_sound && self.head.has_exact_status_line
    }

    /// RFC 9112 §6.3 rule 1.
    fn may_have_content(&self) -> bool {
        !matches!(self.head.status, 100..=199 | 204 | 304)
    }
}
