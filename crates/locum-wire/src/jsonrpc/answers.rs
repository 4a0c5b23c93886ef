//! What a client reads.

use super::envelope::Parts;
use super::error_object;
use super::scan::{Invalid, Scanner, white};
use crate::rpc::{Answer, Body, DecodeError, Fatal, Form, Limits};

/// Reads a stream of answers, 1.0 and 2.0 as they come.
#[derive(Debug)]
pub struct Answers {
    scanner: Scanner,
    limit: usize,
}

impl Answers {
    /// At the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self { scanner: Scanner::new(limits.nesting.saturating_add(2)), limit: limits.message }
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
            if self.scanner.scanned() == 0 {
                let white = white(rest);
                rest = rest.get(white..).unwrap_or_default();
                *taken += white;
            }
            let Some(value) = self.value(rest)? else { return Ok(None) };
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

    fn value<'a>(&mut self, rest: &'a [u8]) -> Result<Option<&'a str>, Fatal> {
        let not_json = || Fatal("jsonrpc: not JSON".to_owned());
        if rest.first().is_some_and(|first| *first != b'{') {
            return Err(not_json());
        }
        let end = match self.scanner.end(rest.get(..self.limit).unwrap_or(rest)) {
            Err(Invalid::Syntax) => return Err(not_json()),
            Err(Invalid::Deep) => return Err(Fatal("jsonrpc: nested too deep".to_owned())),
            Ok(None) if rest.len() > self.limit => {
                return Err(Fatal("jsonrpc: message too long".to_owned()));
            }
            Ok(None) => return Ok(None),
            Ok(Some(end)) => end,
        };
        self.scanner.restart();
        let value = rest.get(..end).unwrap_or_default();
        str::from_utf8(value).map(Some).map_err(|_| not_json())
    }
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
