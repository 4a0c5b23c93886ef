//! What a server reads.

use std::borrow::Cow;

use super::call::Call;
use super::envelope::Parts;
use super::oversize::{Oversize, Passed, too_large};
use super::scan::{Invalid, Scanner, length, white};
use crate::rpc::{self, CallId, Fatal, Limits, Metadata, Protocol, Request};

/// Reads a stream of requests, 1.0 and 2.0 as they come.
#[derive(Debug)]
pub struct Requests {
    scanner: Scanner,
    limit: usize,
    input: Input,
    /// Whether 2.0 was spoken: then what cannot be read is answered before the connection is closed.
    spoke_2: bool,
    /// The batch whose elements are next.
    batch: Option<u64>,
    batches: u64,
    /// A value over the limit that is under way.
    oversize: Option<Box<Oversize>>,
    /// Nothing is read any more.
    over: Option<Fatal>,
    /// The method of the last request, where it was not written plainly.
    method: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Values, one after another.
    Stream,
    /// One value, all of which is there.
    Body,
    /// It was taken.
    Spent,
}

/// What was read, and does not borrow from [`Requests`].
enum Found<'a> {
    Batch(usize),
    Call(Call<'a>),
    /// Answered with what stands in place of its argument.
    TooLarge(Call<'a>),
}

/// How many requests a batch may have: the shortest of them is answered with fifty times its length.
pub const MOST_IN_BATCH: usize = 1024;

impl Requests {
    /// At the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self {
            // The request, its params, and the batch that it may be in, are not the argument's.
            scanner: Scanner::new(limits.nesting.saturating_add(3)),
            limit: limits.message,
            input: Input::Stream,
            spoke_2: false,
            batch: None,
            batches: 0,
            oversize: None,
            over: None,
            method: String::new(),
        }
    }

    /// Of a body that holds one request or one batch, as over HTTP. The whole of it is given to
    /// [`next`](Self::next), which gives what there is to do until it gives nothing, or an error. What is no
    /// JSON, or not one value, is given as a request that is answered with -32700.
    pub fn of_body(limits: &Limits) -> Self {
        Self { input: Input::Body, spoke_2: true, ..Self::new(limits) }
    }

    /// The next request; see [`rpc::Requests::next`](crate::rpc::Requests::next).
    ///
    /// # Errors
    ///
    /// What came is not JSON, or nothing that could be answered.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Request<'a>>, Fatal> {
        let mut rest = input;
        let found = self.advance(&mut rest);
        *taken += input.len() - rest.len();
        let (call, too_large) = match found? {
            None => return Ok(None),
            Some(Found::Batch(calls)) => return Ok(Some(Request::Batch { calls })),
            Some(Found::Call(call)) => (call, false),
            Some(Found::TooLarge(call)) => (call, true),
        };
        let method = match call.method {
            Cow::Borrowed(method) => method,
            Cow::Owned(method) => {
                self.method = method;
                &self.method
            }
        };
        Ok(Some(match call.args {
            Err(failure) if too_large => {
                Request::TooLarge { id: call.id, method, failure: Box::new(failure) }
            }
            Err(failure) => Request::Malformed { id: call.id, method, failure: Box::new(failure) },
            Ok(args) => Request::Call(rpc::Call {
                id: call.id,
                method,
                timeout: None,
                attempt: 1,
                trace: None,
                metadata: Metadata::default(),
                args,
                streams: false,
            }),
        }))
    }

    /// One byte more than was looked at: JSON does not say how long it is.
    pub fn needs(&self) -> usize {
        if self.batch.is_some() { 1 } else { self.scanner.scanned() + 1 }
    }

    fn advance<'a>(&mut self, rest: &mut &'a [u8]) -> Result<Option<Found<'a>>, Fatal> {
        if let Some(fatal) = &self.over {
            return Err(fatal.clone());
        }
        loop {
            if let Some(batch) = self.batch {
                if let Some(element) = element(rest)? {
                    return Ok(Some(Found::Call(Call::of_batch(element, batch))));
                }
                self.batch = None;
            }
            if self.oversize.is_some() {
                return self.pass(rest);
            }
            let value = match self.value(rest) {
                Ok(Some(value)) => value,
                Ok(None) if self.oversize.is_some() => continue,
                Ok(None) => return Ok(None),
                Err(unreadable) => return self.invalid(rest, unreadable).map(Some),
            };
            if !value.starts_with('[') {
                take(rest, value.len());
                let call = Call::of(value)?;
                self.spoke_2 |= matches!(call.id, CallId::Json { protocol: Protocol::Json2, .. });
                return Ok(Some(Found::Call(call)));
            }
            self.spoke_2 = true;
            match calls_in(value) {
                None => {
                    take(rest, value.len());
                    return Ok(Some(Found::Call(Call::invalid(None))));
                }
                // The elements are taken one by one.
                Some(calls) => {
                    take(rest, 1);
                    self.batch = Some(self.batches);
                    if calls > 0 {
                        self.batches += 1;
                        return Ok(Some(Found::Batch(calls)));
                    }
                }
            }
        }
    }

    /// The value that `rest` begins with, once it is all there.
    fn value<'a>(&mut self, rest: &mut &'a [u8]) -> Result<Option<&'a str>, Unreadable> {
        if self.scanner.scanned() == 0 {
            take(rest, white(rest));
        }
        if self.input == Input::Spent {
            return Ok(None);
        }
        let end = self.end(rest).map_err(|why| Unreadable { why, seen: self.scanner.scanned() })?;
        let Some(end) = end else { return Ok(None) };
        self.scanner.restart();
        let not_json = Unreadable { why: NOT_JSON, seen: end };
        let (value, behind) = rest.split_at_checked(end).unwrap_or_default();
        if self.input == Input::Body {
            self.input = Input::Spent;
            if white(behind) < behind.len() {
                return Err(not_json);
            }
        }
        str::from_utf8(value).map(Some).map_err(|_| not_json)
    }

    fn end(&mut self, rest: &[u8]) -> Result<Option<usize>, &'static str> {
        match rest.first() {
            None | Some(b'{' | b'[') => {}
            Some(_) => return Err(NOT_JSON),
        }
        match self.scanner.end(rest.get(..self.limit).unwrap_or(rest)) {
            Err(invalid) => Err(why(invalid)),
            Ok(None) if self.input == Input::Body => Err(NOT_JSON),
            Ok(None) if rest.len() > self.limit => {
                self.oversize = Some(Box::new(Oversize::begin(&mut self.scanner, rest)));
                Ok(None)
            }
            Ok(end) => Ok(end),
        }
    }

    /// Takes off `rest` what is there of a value over the limit; at its end gives the call that it was, if one
    /// call can be said to have been.
    #[cold]
    fn pass<'a>(&mut self, rest: &mut &[u8]) -> Result<Option<Found<'a>>, Fatal> {
        let Some(oversize) = &mut self.oversize else { return Ok(None) };
        let passed = oversize.pass(&mut self.scanner, rest);
        let members = match passed.map_err(|invalid| Fatal(why(invalid).to_owned())) {
            Ok(Passed::Part) => return Ok(None),
            Ok(Passed::Whole(members)) => members,
            Ok(Passed::TooLong) => return Err(self.end_with(Fatal(too_large(self.limit)))),
            Err(fatal) => return Err(self.end_with(fatal)),
        };
        self.oversize = None;
        self.scanner.restart();
        let call = match &members {
            Some(members) => Call::of(members).map_err(|fatal| self.end_with(fatal))?,
            None => Call::invalid(None),
        };
        let is_2 = matches!(call.id, CallId::Json { protocol: Protocol::Json2, .. });
        self.spoke_2 |= is_2;
        Ok(Some(Found::TooLarge(call.too_large(too_large(self.limit)))))
    }

    /// Nothing is read any more.
    fn end_with(&mut self, fatal: Fatal) -> Fatal {
        self.over.insert(fatal).clone()
    }

    /// Gives up the stream; as the last thing, 2.0 is told.
    fn invalid<'a>(&mut self, rest: &[u8], unreadable: Unreadable) -> Result<Found<'a>, Fatal> {
        let fatal = Fatal(unreadable.why.to_owned());
        self.over = Some(fatal.clone());
        // What came behind is not looked at: how much of it is there, is chance.
        let seen = rest.get(..unreadable.seen).unwrap_or(rest);
        let is_2 = self.spoke_2
            || rest.starts_with(b"[")
            || memchr::memmem::find(seen, b"\"jsonrpc\"").is_some();
        if is_2 { Ok(Found::Call(Call::unreadable())) } else { Err(fatal) }
    }
}

/// Something that is no value, and how far it was looked at.
struct Unreadable {
    why: &'static str,
    seen: usize,
}

/// Takes the next element of a batch, which is all there; at its end nothing but that.
fn element<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a str>, Fatal> {
    let before = rest.iter().take_while(|it| matches!(it, b',' | b' ' | b'\t' | b'\n' | b'\r'));
    take(rest, before.count());
    if rest.first() == Some(&b']') {
        take(rest, 1);
        return Ok(None);
    }
    let gone = || Fatal("jsonrpc: a batch is no longer there".to_owned());
    let end = length(rest).ok_or_else(gone)?;
    let element = take(rest, end);
    str::from_utf8(element).map(Some).map_err(|_| gone())
}

/// How many requests of a batch are to be answered. `None`: it is empty, or has too many.
fn calls_in(batch: &str) -> Option<usize> {
    let mut parts = Parts::of(batch);
    let mut requests = 0;
    let mut calls = 0;
    while let Some(element) = parts.element() {
        requests += 1;
        if requests > MOST_IN_BATCH {
            return None;
        }
        if matches!(Call::of_batch(element, 0).id, CallId::Json { raw: Some(_), .. }) {
            calls += 1;
        }
    }
    (requests > 0).then_some(calls)
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (taken, behind) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
    *rest = behind;
    taken
}

fn why(invalid: Invalid) -> &'static str {
    match invalid {
        Invalid::Syntax => NOT_JSON,
        Invalid::Deep => "jsonrpc: nested too deep",
    }
}

const NOT_JSON: &str = "jsonrpc: not JSON";
