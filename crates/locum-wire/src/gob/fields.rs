//! The fields of a peer's struct, and what our struct has besides.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed};

use super::de::{Input, Value};
use super::error::{Error, Kind};
use super::num::next_field;
use super::plan::Plan;
use super::zero::Zero;
use super::{Corrupt, Field};

/// A struct that is being read.
pub(super) struct Fields<'i, 'a> {
    input: &'i mut Input<'a>,
    wire: &'a [Field],
    /// Without one, every field is given, by the peer's name.
    plan: Option<&'a Plan>,
    /// Ours.
    fields: &'static [&'static str],
    given: Given,
    /// One more than the last of the peer's fields that was read.
    at: usize,
    stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy)]
enum Stage {
    /// Among the fields that the peer sent.
    Sent,
    /// Among ours that it did not; this one is next.
    Zero(usize),
    /// This one was asked for, and is not given yet.
    Giving(usize),
}

impl<'i, 'a> Fields<'i, 'a> {
    /// All fields that the peer sent.
    pub(super) fn all(input: &'i mut Input<'a>, wire: &'a [Field]) -> Self {
        Self {
            input,
            wire,
            plan: None,
            fields: &[],
            given: Given::none(0),
            at: 0,
            stage: Stage::Sent,
        }
    }

    /// Ours.
    #[inline]
    pub(super) fn planned(
        input: &'i mut Input<'a>,
        wire: &'a [Field],
        plan: &'a Plan,
        fields: &'static [&'static str],
    ) -> Self {
        let given = Given::none(fields.len());
        Self { input, wire, plan: Some(plan), fields, given, at: 0, stage: Stage::Sent }
    }

    /// The name of the next field that the peer sent, and that is wanted.
    #[inline]
    fn next_sent(&mut self) -> Result<Option<&'a str>, Error> {
        while let Some(theirs) = next_field(&mut self.input.rest, &mut self.at)? {
            let field = self.wire.get(theirs).ok_or(Corrupt::Field)?;
            let Some(plan) = self.plan else { return Ok(Some(&field.name)) };
            if let Some(Some(ours)) = plan.ours(theirs) {
                let ours = usize::from(ours);
                self.given.set(ours);
                return Ok(self.fields.get(ours).copied());
            }
            self.input.skip(field.id)?;
        }
        self.stage = Stage::Zero(0);
        Ok(None)
    }

    /// The next field that the peer did not send, and that is given as zero.
    #[inline]
    fn next_zero(&mut self, plan: &Plan, from: usize) -> Option<&'static str> {
        if self.given.all(self.fields.len()) {
            return None;
        }
        for (at, name) in self.fields.iter().enumerate().skip(from) {
            if !self.given.has(at) && plan.facts.gives_zero(at, plan.theirs(at).is_some()) {
                self.given.set(at);
                self.stage = Stage::Giving(at);
                return Some(name);
            }
        }
        self.stage = Stage::Zero(self.fields.len());
        None
    }

    /// Passes over what was not asked for.
    #[inline]
    pub(super) fn finish(mut self) -> Result<(), Error> {
        if matches!(self.stage, Stage::Sent) {
            while let Some(theirs) = next_field(&mut self.input.rest, &mut self.at)? {
                self.input.skip(self.wire.get(theirs).ok_or(Corrupt::Field)?.id)?;
            }
        }
        Ok(())
    }

    /// What comes of the error that our struct refused the fields with.
    #[cold]
    pub(super) fn learn(self, error: Error, wire_name: &str) -> Error {
        let Some(plan) = self.plan else { return error };
        let (theirs, zero) = match self.stage {
            Stage::Sent => (self.at.checked_sub(1), None),
            Stage::Zero(_) => (None, None),
            Stage::Giving(ours) => (plan.theirs(ours).map(usize::from), Some(ours)),
        };
        let field =
            theirs.and_then(|theirs| self.wire.get(theirs)).map_or("", |field| &*field.name);
        match error.kind() {
            // gob: encoding/gob/decode.go compileDec, overflow
            Kind::Mismatch(local, _) => Error::text(format!(
                "gob: wrong type ({local}) for received field {wire_name}.{field}"
            )),
            Kind::Range(of) => Error::text(format!("value for \"{of}{field}\" out of range")),
            _ => plan.facts.learn(error, zero, |at| self.given.has(at)),
        }
    }
}

impl<'de> de::MapAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if let Stage::Sent = self.stage
            && let Some(name) = self.next_sent()?
        {
            return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
        }
        match (self.stage, self.plan) {
            (Stage::Zero(from), Some(plan)) => match self.next_zero(plan, from) {
                Some(name) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let theirs = match (self.stage, self.plan) {
            (Stage::Giving(ours), Some(plan)) => {
                let theirs = plan.theirs(ours).and_then(|at| self.wire.get(usize::from(at)));
                let value = seed.deserialize(match theirs {
                    Some(field) => Zero::of(self.input.types, field.id),
                    None => Zero::default(),
                })?;
                self.stage = Stage::Zero(ours + 1);
                return Ok(value);
            }
            _ => self.at.checked_sub(1).and_then(|at| self.wire.get(at)),
        };
        let id = theirs.ok_or(Corrupt::Field)?.id;
        seed.deserialize(Value { input: self.input, id })
    }
}

/// Which of our fields were given.
pub(super) struct Given {
    first: u64,
    /// Those from the 65th on.
    more: Vec<u64>,
}

impl Given {
    #[inline]
    pub(super) fn none(fields: usize) -> Self {
        Self { first: 0, more: vec![0; fields.saturating_sub(1) / 64] }
    }

    #[inline]
    pub(super) fn set(&mut self, at: usize) {
        match at {
            0..64 => self.first |= 1 << at,
            _ => {
                if let Some(bits) = self.more.get_mut(at / 64 - 1) {
                    *bits |= 1 << (at % 64);
                }
            }
        }
    }

    /// Whether all were, if they are so many that this can be told at a glance.
    #[inline]
    fn all(&self, fields: usize) -> bool {
        fields < 64 && self.first == (1 << fields) - 1
    }

    #[inline]
    pub(super) fn has(&self, at: usize) -> bool {
        match at {
            0..64 => self.first >> at & 1 == 1,
            _ => self.more.get(at / 64 - 1).is_some_and(|bits| bits >> (at % 64) & 1 == 1),
        }
    }
}
