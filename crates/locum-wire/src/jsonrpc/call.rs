//! One request, read but for its argument.

use std::borrow::Cow;

use super::code;
use super::envelope::{Members, Parts, string};
use crate::netrpc;
use crate::rpc::{Body, CallId, Class, Failure, Fatal, Form, Protocol};

/// A call, or what is to be answered to something else.
pub(super) struct Call<'a> {
    pub(super) id: CallId,
    pub(super) method: Cow<'a, str>,
    /// The argument; the empty text where JSON-RPC 1.0 lacks it.
    pub(super) args: Result<Body<'a>, Failure<'static>>,
}

impl<'a> Call<'a> {
    /// The call that an object is.
    ///
    /// # Errors
    ///
    /// It is none of 2.0, and Go's server would not read it. That closes the connection.
    pub(super) fn of(object: &'a str) -> Result<Self, Fatal> {
        let members = Members::of(object);
        if members.is_2() { Ok(Self::of_2(&members, None)) } else { Self::of_1(&members) }
    }

    /// The call that an element of a batch is. Batches are of 2.0.
    pub(super) fn of_batch(element: &'a str, batch: u64) -> Self {
        if !element.starts_with('{') {
            return Self::invalid(Some(batch));
        }
        let members = Members::of(element);
        if members.is_2() { Self::of_2(&members, Some(batch)) } else { Self::invalid(Some(batch)) }
    }

    /// What stands for something that is no request.
    pub(super) fn invalid(batched: Option<u64>) -> Self {
        Self::failed("null", batched, code::INVALID_REQUEST, "Invalid Request")
    }

    /// What stands for something that is not even JSON.
    pub(super) fn unreadable() -> Self {
        Self::failed("null", None, code::PARSE_ERROR, "Parse error")
    }

    /// What stands for it, since it is over the limit.
    pub(super) fn too_large(self, text: String) -> Call<'static> {
        let failure = match self.args {
            // An array may have been a batch.
            Err(Failure { code: code @ Some(code::INVALID_REQUEST), .. }) => {
                Failure { code, ..Failure::bad_arguments(text) }
            }
            _ => Failure::bad_arguments(text),
        };
        Call { id: self.id, method: Cow::Owned(self.method.into_owned()), args: Err(failure) }
    }

    fn failed(id: &str, batched: Option<u64>, code: i64, text: &'static str) -> Self {
        let failure = Failure { code: Some(code), ..Failure::new(Class::BadArguments, text) };
        let raw = Some(id.into());
        let id = CallId::Json { protocol: Protocol::Json2, raw, batched };
        Self { id, method: Cow::Borrowed(""), args: Err(failure) }
    }

    fn of_2(members: &Members<'a>, batched: Option<u64>) -> Self {
        let id = match members.id.exact.map(|id| (id, id.bytes().next())) {
            None => None,
            Some((id, Some(b'"' | b'-' | b'0'..=b'9' | b'n'))) => Some(id),
            Some(_) => return Self::invalid(batched),
        };
        let args = match members.params.exact {
            None | Some("null") => Some(json("null")),
            Some(params) if params.starts_with('{') => Some(json(params)),
            Some(params) if params.starts_with('[') => {
                Some(Body { bytes: params.as_bytes(), form: Form::Params })
            }
            Some(_) => None,
        };
        let (Some(method), Some(args)) = (members.method.exact.and_then(string), args) else {
            let text = "Invalid Request";
            return Self::failed(id.unwrap_or("null"), batched, code::INVALID_REQUEST, text);
        };
        let batched = batched.filter(|_| id.is_some());
        let id = CallId::Json { protocol: Protocol::Json2, raw: id.map(Into::into), batched };
        Self { id, method, args: Ok(args) }
    }

    /// net/rpc/jsonrpc/server.go, `ReadRequestHeader` and `ReadRequestBody`.
    fn of_1(members: &Members<'a>) -> Result<Self, Fatal> {
        let raw = Some(members.id.folded.unwrap_or("null").into());
        let id = CallId::Json { protocol: Protocol::Json1, raw, batched: None };
        let method = match members.method.folded {
            None | Some("null") => Cow::Borrowed(""),
            Some(method) => string(method)
                .ok_or_else(|| Fatal("jsonrpc: the method is no string".to_owned()))?,
        };
        let args = match members.params.folded {
            _ if netrpc::split(&method).is_none() => Err(Failure::ill_formed(&method)),
            None | Some("null") => Ok(json("")),
            Some(params) if params.starts_with('[') => {
                Ok(json(Parts::of(params).element().unwrap_or("null")))
            }
            Some(_) => Err(Failure::bad_arguments(
                "json: cannot unmarshal params: not an array of one argument",
            )),
        };
        Ok(Self { id, method, args })
    }
}

fn json(argument: &str) -> Body<'_> {
    Body { bytes: argument.as_bytes(), form: Form::Json }
}

/// The argument that `params`, an array, gives: what is in it, or several as they stand, which are then the
/// fields of a struct in their order.
pub(crate) fn by_position(params: &str) -> &str {
    let mut parts = Parts::of(params);
    match (parts.element(), parts.element()) {
        (None, _) => "null",
        (Some(only), None) => only,
        (Some(_), Some(_)) => params,
    }
}
