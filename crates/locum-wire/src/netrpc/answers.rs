//! What a client reads.

use std::borrow::Cow;

use super::header::Reader;
use crate::gob::{Stream, StreamError};
use crate::rpc::{Answer, Body, Failure, Fatal, Form, Limits};

/// Reads a stream of answers.
#[derive(Debug)]
pub struct Answers {
    stream: Stream,
    headers: Reader,
    /// What was read of the answer that is under way.
    begun: Option<Begun>,
}

/// The header of an answer.
#[derive(Debug)]
struct Begun {
    id: u64,
    /// Empty where the call succeeded: then its reply is next, else something that says nothing.
    error: Vec<u8>,
}

impl Answers {
    /// At the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self { stream: Stream::new(limits), headers: Reader::default(), begun: None }
    }

    /// The next answer; see [`rpc::Answers::next`](crate::rpc::Answers::next).
    ///
    /// # Errors
    ///
    /// This is no gob stream, or a header cannot be read.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Answer<'a>>, Fatal> {
        let mut rest = input;
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => match self.header(&mut rest, taken)? {
                Some(begun) => begun,
                None => return Ok(None),
            },
        };
        let mut more = 0;
        let reply = self.stream.next(rest, &mut more);
        *taken += more;
        let Begun { id, error } = begun;
        Ok(Some(match reply {
            Err(StreamError::Fatal(fatal)) => return Err(fatal),
            Ok(None) => {
                self.begun = Some(Begun { id, error });
                return Ok(None);
            }
            _ if !error.is_empty() => Answer::Failure { id, failure: Box::new(failure(error)) },
            Err(StreamError::Malformed(error) | StreamError::TooLarge(error)) => {
                Answer::Unreadable { id, error }
            }
            Ok(Some(raw)) => {
                let form = Form::Gob { types: raw.types, id: raw.id };
                Answer::Reply { id, body: Body { bytes: raw.bytes, form } }
            }
        }))
    }

    /// How many bytes the input has to have before another [`next`](Self::next) is worth while.
    pub fn needs(&self) -> usize {
        self.stream.needs()
    }

    /// Whether another stream is to take its place: see [`Stream::is_worn`].
    pub fn is_worn(&self) -> bool {
        self.stream.is_worn()
    }

    fn header(&mut self, rest: &mut &[u8], taken: &mut usize) -> Result<Option<Begun>, Fatal> {
        let Self { stream, headers, .. } = self;
        let Some(header) = headers.next(stream, rest, taken)? else { return Ok(None) };
        Ok(Some(Begun { id: header.seq, error: header.error.to_vec() }))
    }
}

/// Go's strings are bytes: what is no text is kept beside its likeness.
fn failure(error: Vec<u8>) -> Failure<'static> {
    match String::from_utf8(error) {
        Ok(text) => Failure::of_text(text),
        Err(error) => {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let verbatim = Some(Cow::Owned(error.into_bytes()));
            Failure { verbatim, ..Failure::of_text(text) }
        }
    }
}
