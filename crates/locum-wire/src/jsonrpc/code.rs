//! The error codes of JSON-RPC 2.0, and what they mean.

use crate::rpc::{Class, Failure};

pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;
const APP: i64 = -32000;
const REJECTED: i64 = -32001;
const DEADLINE: i64 = -32002;
const CANCELLED: i64 = -32003;
const UNAVAILABLE: i64 = -32004;

/// The code that a failure is sent with.
pub(super) fn of(failure: &Failure<'_>) -> i64 {
    match failure.class {
        // "The error codes from and including -32768 to -32000 are reserved" (section 5.1).
        Class::App => failure.code.filter(|code| !(-32768..=-32000).contains(code)).unwrap_or(APP),
        Class::BadArguments => match failure.code {
            Some(code @ (PARSE_ERROR | INVALID_REQUEST)) => code,
            _ => INVALID_PARAMS,
        },
        Class::UnknownMethod => METHOD_NOT_FOUND,
        Class::Rejected => REJECTED,
        Class::Deadline => DEADLINE,
        Class::Cancelled => CANCELLED,
        Class::Unavailable => UNAVAILABLE,
        Class::Internal => INTERNAL_ERROR,
    }
}

/// What a code says, and the application's own, if it is one.
pub(super) fn meaning(code: i64) -> (Class, Option<i64>) {
    match code {
        PARSE_ERROR | INVALID_REQUEST => (Class::BadArguments, Some(code)),
        METHOD_NOT_FOUND => (Class::UnknownMethod, None),
        INVALID_PARAMS => (Class::BadArguments, None),
        INTERNAL_ERROR => (Class::Internal, None),
        APP => (Class::App, None),
        REJECTED => (Class::Rejected, None),
        DEADLINE => (Class::Deadline, None),
        CANCELLED => (Class::Cancelled, None),
        UNAVAILABLE => (Class::Unavailable, None),
        other => (Class::App, Some(other)),
    }
}
