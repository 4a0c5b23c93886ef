//! Values with interfaces in them.
//!
//! An interface that brings a type the stream has not seen yet defines it in the middle of the value.
//! gob: encoding/gob/encode.go encodeInterface does that in two ways. At the top, what there is of the value ends its
//! message together with the definition, further definitions are messages of their own, and the value goes
//! on in the next message:
//!
//! ```text
//! length | id, value…, "name", -65, description of 65
//! length | -66, description of 66
//! length | 65, length, value of 65, …value
//! ```
//!
//! In the value of another interface the same messages stand inside that value, whose length is that of the
//! first of them.
//!
//! A [`Walk`] follows all that, and keeps the value as it would be had nothing been to define.

use super::defined::Defined;
use super::num::{bytes, int, length, next_field, put_uint, singleton, uint};
use super::{Corrupt, Type, TypeId};
use crate::rpc::{Fatal, Limits};

/// A value that is being read. It has a stack of its own, so that it can stop where a message ends.
#[derive(Debug)]
pub(super) struct Walk {
    /// The whole value's type.
    pub(super) id: TypeId,
    /// The value so far.
    pub(super) value: Vec<u8>,
    frames: Vec<Frame>,
    /// How many of them are of values in values.
    depth: usize,
    most_depth: usize,
    most_bytes: usize,
}

/// A value that others stand in.
#[derive(Debug)]
enum Frame {
    /// A struct; the field after `field` comes next.
    Struct { id: TypeId, field: usize },
    /// So many elements are left of an array or a slice.
    Elements { elem: TypeId, left: u64 },
    /// So many keys and values are left of a map.
    Pairs { key: TypeId, elem: TypeId, left: u64 },
    /// An interface, whose value begins at `from` of what is kept, and ends where `left` bytes of the
    /// message are left.
    Interface { from: usize, left: usize },
}

/// How far a message brought a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// To its end.
    Whole,
    /// To definitions in its middle: it goes on in the next message.
    Broken,
}

/// Why a value is not read on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The value is malformed.
    Corrupt(Corrupt),
    /// So is a definition, and with it the stream.
    Fatal(Fatal),
}

impl From<Corrupt> for Stop {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl Walk {
    pub(super) fn new(id: TypeId, limits: &Limits) -> Self {
        Self {
            id,
            value: Vec::new(),
            frames: Vec::new(),
            depth: 0,
            most_depth: limits.nesting,
            most_bytes: limits.decoded,
        }
    }

    /// Takes the first message of the value, without what stands before the value.
    pub(super) fn begin(
        &mut self,
        message: &[u8],
        defined: &mut Defined,
    ) -> Result<Progress, Stop> {
        let mut input = Input { kept: message, rest: message };
        match self.value(self.id, &mut input, defined)? {
            Progress::Broken => Ok(Progress::Broken),
            Progress::Whole => self.go_on(input, defined),
        }
    }

    /// Takes another message, from its beginning.
    pub(super) fn resume(
        &mut self,
        message: &[u8],
        defined: &mut Defined,
    ) -> Result<Progress, Stop> {
        let mut input = Input { kept: message, rest: message };
        match self.introduced(&mut input, defined)? {
            Progress::Broken => Ok(Progress::Broken),
            Progress::Whole => self.go_on(input, defined),
        }
    }

    /// Reads what is left of the values that were begun, innermost first.
    fn go_on(&mut self, mut input: Input<'_>, defined: &mut Defined) -> Result<Progress, Stop> {
        loop {
            let next = match self.frames.last_mut() {
                None => break,
                Some(Frame::Struct { id, field }) => {
                    match (next_field(&mut input.rest, field)?, defined.get(*id)?) {
                        (None, _) => None,
                        (Some(field), Type::Struct { fields, .. }) => {
                            Some(fields.get(field).ok_or(Corrupt::Field)?.id)
                        }
                        _ => return Err(Corrupt::UnknownType.into()),
                    }
                }
                Some(Frame::Elements { elem, left }) => {
                    let next = left.checked_sub(1);
                    *left = next.unwrap_or(0);
                    next.map(|_| *elem)
                }
                Some(Frame::Pairs { key, elem, left }) => {
                    let next = left.checked_sub(1);
                    *left = next.unwrap_or(0);
                    next.map(|left| if left % 2 == 1 { *key } else { *elem })
                }
                Some(Frame::Interface { from, left }) => {
                    let (from, left) = (*from, *left);
                    if input.rest.len() != left {
                        return Err(Corrupt::Interface.into());
                    }
                    self.keep(&mut input)?;
                    self.insert_length(from);
                    None
                }
            };
            match next {
                None => self.leave(),
                Some(id) => {
                    if self.value(id, &mut input, defined)? == Progress::Broken {
                        return Ok(Progress::Broken);
                    }
                }
            }
        }
        if !input.rest.is_empty() {
            return Err(Corrupt::Long.into());
        }
        self.keep(&mut input)?;
        Ok(Progress::Whole)
    }

    /// Begins a value; reads all of it if no others stand in it.
    fn value(
        &mut self,
        id: TypeId,
        input: &mut Input<'_>,
        defined: &mut Defined,
    ) -> Result<Progress, Stop> {
        match defined.get(id)? {
            Type::Bool | Type::Int | Type::Uint | Type::Float => {
                uint(&mut input.rest)?;
            }
            Type::Complex => {
                uint(&mut input.rest)?;
                uint(&mut input.rest)?;
            }
            Type::Bytes | Type::String | Type::Opaque { .. } => {
                bytes(&mut input.rest)?;
            }
            Type::Struct { .. } => self.enter(Frame::Struct { id, field: 0 })?,
            Type::Slice { elem, .. } => {
                let left = self.count(input)?;
                self.enter(Frame::Elements { elem: *elem, left })?;
            }
            Type::Array { elem, len, .. } => {
                let left = self.count(input)?;
                if left != *len {
                    return Err(Corrupt::Array.into());
                }
                self.enter(Frame::Elements { elem: *elem, left })?;
            }
            Type::Map { key, elem, .. } => {
                let left = self.count(input)?.checked_mul(2).ok_or(Corrupt::Length)?;
                self.enter(Frame::Pairs { key: *key, elem: *elem, left })?;
            }
            Type::Interface => {
                if !bytes(&mut input.rest)?.is_empty() {
                    return self.introduced(input, defined);
                }
            }
        }
        Ok(Progress::Whole)
    }

    /// How many elements follow. Not all of them need to be in this message.
    fn count(&self, input: &mut Input<'_>) -> Result<u64, Corrupt> {
        let count = uint(&mut input.rest)?;
        if count > self.most_bytes as u64 { Err(Corrupt::Length) } else { Ok(count) }
    }

    /// Reads the type of an interface's value, with the definitions that it brings, and begins the value.
    fn introduced(
        &mut self,
        input: &mut Input<'_>,
        defined: &mut Defined,
    ) -> Result<Progress, Stop> {
        let mut here = *input;
        let mut id = int(&mut here.rest)?;
        while id < 0 {
            self.keep(input)?;
            defined.define(id, &mut here.rest)?;
            // The definition ends the message, or, in the value of an interface, what that is cut into.
            let Some(left) = self.interface() else {
                return if here.rest.is_empty() {
                    Ok(Progress::Broken)
                } else {
                    Err(Corrupt::Long.into())
                };
            };
            if here.rest.len() != *left {
                return Err(Corrupt::Interface.into());
            }
            let more = length(&mut here.rest)?;
            *left = here.rest.len() - more;
            *input = Input { kept: here.rest, rest: here.rest };
            here = *input;
            id = int(&mut here.rest)?;
        }
        input.rest = here.rest;
        let id = TypeId::from_wire(id).ok_or(Corrupt::UnknownType)?;
        if id == TypeId::INTERFACE {
            return Err(Corrupt::Interface.into());
        }
        let kind = defined.kind(id).ok_or(Corrupt::UnknownType)?;
        let size_follows = *input;
        let size = length(&mut input.rest)?;
        if !kind.has_interface {
            // Nothing can be defined in it, so that it is as long as it says.
            input.rest = &input.rest[size..];
            return Ok(Progress::Whole);
        }
        // How long it is when nothing is defined in it is known once it was read.
        let value = input.rest;
        *input = size_follows;
        self.keep(input)?;
        *input = Input { kept: value, rest: value };
        self.frames.push(Frame::Interface { from: self.value.len(), left: value.len() - size });
        if !kind.is_struct {
            singleton(&mut input.rest)?;
        }
        self.value(id, input, defined)
    }

    /// Where the innermost interface ends.
    fn interface(&mut self) -> Option<&mut usize> {
        self.frames.iter_mut().rev().find_map(|frame| match frame {
            Frame::Interface { left, .. } => Some(left),
            _ => None,
        })
    }

    fn enter(&mut self, frame: Frame) -> Result<(), Corrupt> {
        if self.depth >= self.most_depth {
            return Err(Corrupt::Nesting);
        }
        self.depth += 1;
        self.frames.push(frame);
        Ok(())
    }

    fn leave(&mut self) {
        if !matches!(self.frames.pop(), Some(Frame::Interface { .. })) {
            self.depth -= 1;
        }
    }

    /// Keeps what was read since this was last done.
    fn keep(&mut self, input: &mut Input<'_>) -> Result<(), Stop> {
        let read = &input.kept[..input.kept.len() - input.rest.len()];
        if read.len() > self.most_bytes.saturating_sub(self.value.len()) {
            // Where a value ends that is given up here cannot be known.
            return Err(Stop::Fatal(Fatal(Corrupt::Decoded.to_string())));
        }
        self.value.extend_from_slice(read);
        input.kept = input.rest;
        Ok(())
    }

    fn insert_length(&mut self, from: usize) {
        let mut prefix = Vec::with_capacity(9);
        put_uint(&mut prefix, (self.value.len() - from) as u64);
        self.value.splice(from..from, prefix);
    }
}

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
struct Input<'a> {
    /// From the first byte that was read and not kept.
    kept: &'a [u8],
    /// From the first byte that was not read.
    rest: &'a [u8],
}
