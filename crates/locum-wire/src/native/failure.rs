//! The fields of an ERROR.

use std::borrow::Cow;
use std::time::Duration;

use super::field::{self, Fields, Malformed};
use crate::rpc::{Class, Failure, Refusal};

/// The class, one byte that says which of the others are there, and those.
pub(super) fn write(out: &mut Vec<u8>, failure: &Failure<'_>) {
    let Failure { class, text, code, detail, refusal, .. } = failure;
    let retry_after = refusal.as_ref().and_then(|refusal| refusal.retry_after);
    let mut flags = 0;
    flags |= if code.is_some() { CODE } else { 0 };
    flags |= if refusal.is_some() { REFUSAL } else { 0 };
    flags |= if retry_after.is_some() { RETRY_AFTER } else { 0 };
    flags |= if detail.is_some() { DETAIL } else { 0 };
    out.extend_from_slice(&[number(*class), flags]);
    field::put_bytes(out, text.as_bytes());
    if let Some(code) = code {
        field::put_number(out, field::fold(*code));
    }
    if let Some(Refusal { kind, policy, reason, .. }) = refusal {
        for text in [kind, policy, reason] {
            field::put_bytes(out, text.as_bytes());
        }
    }
    if let Some(after) = retry_after {
        field::put_number(out, super::calls::micros(after));
    }
    if let Some(detail) = detail {
        out.extend_from_slice(detail);
    }
}

pub(super) fn read<'a>(mut fields: Fields<'a>) -> Result<Failure<'a>, Malformed> {
    let class = class(fields.byte()?);
    let flags = fields.byte()?;
    if flags & !(CODE | REFUSAL | RETRY_AFTER | DETAIL) != 0 {
        return Err(Malformed("flags that nobody knows"));
    }
    let has = |flag| flags & flag != 0;
    let text = Cow::Borrowed(fields.text()?);
    let code = if has(CODE) { Some(field::unfold(fields.number()?)) } else { None };
    let mut refusal = None;
    if has(REFUSAL) {
        let kind = fields.text()?.to_owned();
        let policy = fields.text()?.to_owned();
        let reason = fields.text()?.to_owned();
        refusal = Some(Refusal { kind, policy, reason, retry_after: None });
    }
    if has(RETRY_AFTER) {
        let after = Duration::from_micros(fields.number()?);
        let refusal = refusal.as_mut().ok_or(Malformed("a time to come back, but no refusal"))?;
        refusal.retry_after = Some(after);
    }
    let detail = if has(DETAIL) {
        Some(Cow::Borrowed(fields.rest()))
    } else {
        fields.end()?;
        None
    };
    Ok(Failure { code, detail, refusal, ..Failure::new(class, text) })
}

const CODE: u8 = 1;
const REFUSAL: u8 = 2;
const RETRY_AFTER: u8 = 4;
const DETAIL: u8 = 8;

const fn number(class: Class) -> u8 {
    match class {
        Class::App => 0,
        Class::UnknownMethod => 1,
        Class::BadArguments => 2,
        Class::Rejected => 3,
        Class::Deadline => 4,
        Class::Cancelled => 5,
        Class::Unavailable => 6,
        Class::Internal => 7,
    }
}

/// A class that a later version has is the server's fault, as far as this one knows.
const fn class(number: u8) -> Class {
    match number {
        0 => Class::App,
        1 => Class::UnknownMethod,
        2 => Class::BadArguments,
        3 => Class::Rejected,
        4 => Class::Deadline,
        5 => Class::Cancelled,
        6 => Class::Unavailable,
        _ => Class::Internal,
    }
}
