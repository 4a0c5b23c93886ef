//! What a server reads.

use super::header::Reader;
use super::{CANCEL, CancelArgs};
use crate::gob::{Stream, StreamError};
use crate::rpc::{Body, Call, CallId, Failure, Fatal, Form, Limits, Metadata, Request};

/// Reads a stream of requests.
#[derive(Debug)]
pub struct Requests {
    stream: Stream,
    headers: Reader,
    /// The number of the call whose argument is next; its method is below.
    call: Option<u64>,
    method: String,
}

impl Requests {
    /// At the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self {
            stream: Stream::new(limits),
            headers: Reader::default(),
            call: None,
            method: String::new(),
        }
    }

    /// The next request; see [`rpc::Requests::next`](crate::rpc::Requests::next).
    ///
    /// # Errors
    ///
    /// This is no gob stream, or a header cannot be read.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Request<'a>>, Fatal> {
        let mut rest = input;
        let seq = match self.call {
            Some(seq) => seq,
            None => match self.header(&mut rest, taken)? {
                Some(seq) => seq,
                None => return Ok(None),
            },
        };
        let mut more = 0;
        let args = self.stream.next(rest, &mut more);
        *taken += more;
        let id = CallId::Number(seq);
        let args = match args {
            Ok(None) => {
                self.call = Some(seq);
                return Ok(None);
            }
            Ok(Some(args)) => args,
            Err(StreamError::Fatal(fatal)) => return Err(fatal),
            Err(StreamError::Malformed(error)) => {
                self.call = None;
                let failure = Box::new(Failure::bad_arguments(error.0));
                return Ok(Some(Request::Malformed { id, method: &self.method, failure }));
            }
            Err(StreamError::TooLarge(error)) => {
                self.call = None;
                let failure = Box::new(Failure::bad_arguments(error.0));
                return Ok(Some(Request::TooLarge { id, method: &self.method, failure }));
            }
        };
        self.call = None;
        let args = Body { bytes: args.bytes, form: Form::Gob { types: args.types, id: args.id } };
        if self.method == CANCEL {
            return Ok(Some(match args.decode() {
                Ok(CancelArgs { seq }) => Request::Cancel { id: seq, answer: Some(id) },
                Err(error) => {
                    let failure = Box::new(Failure::bad_arguments(error.0));
                    Request::Malformed { id, method: &self.method, failure }
                }
            }));
        }
        Ok(Some(Request::Call(Call {
            id,
            method: &self.method,
            timeout: None,
            attempt: 1,
            trace: None,
            metadata: Metadata::default(),
            args,
            streams: false,
        })))
    }

    /// How many bytes the input has to have before another [`next`](Self::next) is worth while.
    pub fn needs(&self) -> usize {
        self.stream.needs()
    }

    /// Reads a header off `rest`: the call's number is given, its method kept.
    fn header(&mut self, rest: &mut &[u8], taken: &mut usize) -> Result<Option<u64>, Fatal> {
        let Self { stream, headers, .. } = self;
        let Some(header) = headers.next(stream, rest, taken)? else { return Ok(None) };
        // Most calls of a connection are of the same method.
        if header.method != self.method.as_bytes() {
            self.method.clear();
            self.method.shrink_to(KEPT);
            self.method.push_str(&String::from_utf8_lossy(header.method));
        }
        Ok(Some(header.seq))
    }
}

/// How much room for a method's name is kept from one call to the next.
const KEPT: usize = 256;
