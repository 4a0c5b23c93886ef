//! Messages over the limit.

use super::scan::{Invalid, Scanner};
use super::text::text;

/// A value over the limit of a message, which is passed over as it comes: kept is only what says whose it is.
///
/// Its length is not known before its end, and what names the call may stand there.
#[derive(Debug)]
pub(super) struct Oversize {
    /// How many bytes went by.
    passed: usize,
    /// The name or the value that is under way and what stands before it, as far as it is kept.
    piece: Vec<u8>,
    /// The name of the value that is next, if that is kept.
    name: Option<String>,
    /// An object with the members that are kept.
    members: String,
    is_array: bool,
}

/// What became of it.
pub(super) enum Passed {
    /// More of it is to come.
    Part,
    /// Its end: of an object the members `id`, `method` and `jsonrpc`, as an object. `None`: it was an array.
    Whole(Option<String>),
    /// It is longer than anything that is passed over.
    TooLong,
}

impl Oversize {
    /// Of the value that `input` begins with, none of which was taken; `scanner` begins with it once more.
    pub(super) fn begin(scanner: &mut Scanner, input: &[u8]) -> Self {
        scanner.restart();
        Self {
            passed: 0,
            piece: Vec::new(),
            name: None,
            members: String::new(),
            is_array: input.first() == Some(&b'['),
        }
    }

    /// Takes what is there of it off `input`.
    pub(super) fn pass(
        &mut self,
        scanner: &mut Scanner,
        input: &mut &[u8],
    ) -> Result<Passed, Invalid> {
        loop {
            let part = scanner.part(input)?;
            let (taken, rest) = input.split_at_checked(scanner.scanned()).unwrap_or((input, &[]));
            let room = PIECE.saturating_sub(self.piece.len());
            self.piece.extend_from_slice(taken.get(..room).unwrap_or(taken));
            self.passed += taken.len();
            *input = rest;
            scanner.rewind();
            if self.passed > TOO_BIG {
                return Ok(Passed::TooLong);
            }
            if !part {
                return Ok(Passed::Part);
            }
            self.take_piece(scanner.is_behind_name());
            if scanner.is_over() {
                self.members.insert(0, '{');
                self.members.push('}');
                let members = std::mem::take(&mut self.members);
                return Ok(Passed::Whole((!self.is_array).then_some(members)));
            }
        }
    }

    /// Keeps what came last, if it is of use.
    fn take_piece(&mut self, is_name: bool) {
        let whole = str::from_utf8(&self.piece).ok().filter(|piece| piece.len() < PIECE);
        // What stands before it is a brace, a comma or a colon.
        let value = whole.and_then(|piece| piece.trim_ascii_start().get(1..)).map(str::trim_ascii);
        if is_name {
            let name = value.filter(|name| text(name).is_some_and(|(name, _)| is_kept(&name)));
            self.name = name.map(str::to_owned);
        } else if let (Some(name), Some(value)) = (self.name.take(), value)
            && self.members.len() < MEMBERS
        {
            let comma = if self.members.is_empty() { "" } else { "," };
            self.members.push_str(&format!("{comma}{name}:{value}"));
        }
        self.piece.clear();
    }
}

fn is_kept(name: &str) -> bool {
    ["id", "method", "jsonrpc"].iter().any(|kept| kept.eq_ignore_ascii_case(name))
}

/// What is said of such a message; its length may not be known yet.
pub(super) fn too_large(limit: usize) -> String {
    format!("jsonrpc: the message is over the limit of {limit} bytes")
}

/// Bytes of a name or a value that are kept, and of all of them, about.
const PIECE: usize = 1024;
const MEMBERS: usize = 4 * PIECE;
/// As for gob.
const TOO_BIG: usize = 1 << 30;
