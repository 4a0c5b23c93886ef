//! What a client reads.

use super::envelope::Parts;
use super::error_object;
use super::oversize::{Oversize, Passed, too_large};
use super::scan::{Invalid, Scanner, white};
use crate::rpc::{Answer, Body, DecodeError, Fatal, Form, Limits};

/// Reads a stream of answers, 1.0 and 2.0 as they come.
#[derive(Debug)]
pub struct Answers {
    scanner: Scanner,
    limit: usize,
    /// An answer over the limit that is under way.
    oversize: Option<Box<Oversize>>,
}

impl Answers {
    /// At the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self {
            scanner: Scanner::new(limits.nesting.saturating_add(2)),
            limit: limits.message,
            oversize: None,
        }
    }

    /// The next answer; see [`rpc::Answers::next`](crate::rpc::Answers::next). Those that do not say which
    /// call they are to, as when a server could not read one, are passed over.
    ///
    /// # Errors
    ///
    /// What came is not JSON, or no object.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Answer<'a>>, Fatal> {
        let mut rest = input;
        loop {
            if self.oversize.is_some() {
                let before = rest.len();
                let passed = self.pass(&mut rest);
                *taken += before - rest.len();
                match passed? {
                    Some(Some(unreadable)) => return Ok(Some(unreadable)),
                    Some(None) => continue,
                    None => return Ok(None),
                }
            }
            if self.scanner.scanned() == 0 {
                let white = white(rest);
                rest = rest.get(white..).unwrap_or_default();
                *taken += white;
            }
            let Some(value) = self.value(rest)? else {
                if self.oversize.is_some() {
                    continue;
                }
                return Ok(None);
            };
            rest = rest.get(value.len()..).unwrap_or_default();
            *taken += value.len();
            if let Some(answer) = answer(value) {
                return Ok(Some(answer));
            }
        }
    }

    /// One byte more than was looked at: JSON does not say how long it is.
    pub fn needs(&self) -> usize {
        self.scanner.scanned() + 1
    }

    /// Takes off `rest` what is there of an answer over the limit; at its end gives what that is to its call, if
    /// it is to one.
    #[cold]
    fn pass<'a>(&mut self, rest: &mut &[u8]) -> Result<Option<Option<Answer<'a>>>, Fatal> {
        let Some(oversize) = &mut self.oversize else { return Ok(Some(None)) };
        let members = match oversize.pass(&mut self.scanner, rest).map_err(fatal)? {
            Passed::Part => return Ok(None),
            Passed::TooLong => return Err(Fatal(too_large(self.limit))),
            Passed::Whole(members) => members.unwrap_or_default(),
        };
        self.oversize = None;
        self.scanner.restart();
        let error = DecodeError(too_large(self.limit));
        Ok(Some(id(&members).map(|id| Answer::Unreadable { id, error })))
    }

    fn value<'a>(&mut self, rest: &'a [u8]) -> Result<Option<&'a str>, Fatal> {
        if rest.first().is_some_and(|first| *first != b'{') {
            return Err(fatal(Invalid::Syntax));
        }
        let end = self.scanner.end(rest.get(..self.limit).unwrap_or(rest)).map_err(fatal)?;
        let Some(end) = end else {
            if rest.len() > self.limit {
                self.oversize = Some(Box::new(Oversize::begin(&mut self.scanner, rest)));
            }
            return Ok(None);
        };
        self.scanner.restart();
        let value = rest.get(..end).unwrap_or_default();
        str::from_utf8(value).map(Some).map_err(|_| fatal(Invalid::Syntax))
    }
}

fn fatal(invalid: Invalid) -> Fatal {
    Fatal(match invalid {
        Invalid::Syntax => "jsonrpc: not JSON".to_owned(),
        Invalid::Deep => "jsonrpc: nested too deep".to_owned(),
    })
}

/// The number of the call that an answer is to.
fn id(answer: &str) -> Option<u64> {
    let mut parts = Parts::of(answer);
    let mut id = None;
    while let Some((name, value)) = parts.member() {
        if name == "id" {
            id = value.parse().ok();
        }
    }
    id
}

fn answer(object: &str) -> Option<Answer<'_>> {
    let (mut id, mut result, mut error) = (None, None, None);
    let mut parts = Parts::of(object);
    while let Some((name, value)) = parts.member() {
        match &*name {
            "id" => id = value.parse().ok(),
            "result" => result = Some(value),
            "error" => error = Some(value).filter(|value| *value != "null"),
            _ => {}
        }
    }
    let id = id?;
    Some(match (error, result) {
        (Some(error), _) => Answer::Failure { id, failure: Box::new(error_object::read(error)) },
        (None, Some(result)) => {
            Answer::Reply { id, body: Body { bytes: result.as_bytes(), form: Form::Json } }
        }
        (None, None) => Answer::Unreadable {
            id,
            error: DecodeError("jsonrpc: neither a result nor an error".to_owned()),
        },
    })
}
