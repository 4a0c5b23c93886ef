//! Names of methods become numbers: each name crosses a connection once.
//!
//! A call says `0` and the name, or the number of a name that was given before, or the next number and
//! the name that has it from now on.

use rustc_hash::FxHashMap;

use super::field::{self, Fields, Malformed};

/// How many names a connection remembers.
pub(super) const MOST: usize = 1024;

/// The longest name, in bytes.
pub(super) const LONGEST: usize = 1024;

/// The numbers that a client gave.
#[derive(Debug, Default)]
pub(super) struct Numbers(FxHashMap<Box<str>, u32>);

impl Numbers {
    /// Writes what names `method`. Tells whether it has a new number, which [`keep`](Self::keep) settles
    /// once the call is written.
    pub(super) fn put(&self, out: &mut Vec<u8>, method: &str) -> bool {
        if let Some(number) = self.0.get(method) {
            field::put_number(out, u64::from(*number));
            return false;
        }
        let new = self.0.len() < MOST;
        field::put_number(out, if new { self.0.len() as u64 + 1 } else { 0 });
        field::put_bytes(out, method.as_bytes());
        new
    }

    pub(super) fn keep(&mut self, method: &str) {
        let number = self.0.len() as u32 + 1;
        self.0.insert(method.into(), number);
    }
}

/// The names that a server was given.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Box<str>>);

impl Names {
    pub(super) fn take<'a>(&'a mut self, fields: &mut Fields<'a>) -> Result<&'a str, Malformed> {
        let number = fields.number()?;
        let known = self.0.len() as u64;
        // One look-up decides; a number beyond the names is new, or none.
        if (1..=known).contains(&number) {
            return Ok(self.0.get(number as usize - 1).map_or("", |name| name));
        }
        if number > known + 1 || number > MOST as u64 {
            return Err(Malformed("a method's number out of turn"));
        }
        let name = fields.text()?;
        if name.len() > LONGEST {
            return Err(Malformed("a method's name of more than 1024 bytes"));
        }
        if number != 0 {
            self.0.push(name.into());
        }
        Ok(name)
    }
}
