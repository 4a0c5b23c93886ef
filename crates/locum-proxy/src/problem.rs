//! Answers that say what went wrong, as `application/problem+json` (RFC 9457).

use std::time::Duration;

use locum_wire::http1::encode::{self, field};
use serde_json::{Map, Value, json};

use crate::forward::Persistence;

/// What there is to say of anything that went wrong.
pub(crate) fn problem(status: u16, reason: &str, detail: &str) -> Map<String, Value> {
    let kind = match status {
        429 => "https://iana.org/assignments/http-problem-types#quota-exceeded",
        503 => "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
        _ => "about:blank",
    };
    let mut problem = Map::new();
    problem.insert("type".into(), json!(kind));
    problem.insert("title".into(), json!(encode::reason(status)));
    problem.insert("status".into(), json!(status));
    problem.insert("detail".into(), json!(detail));
    problem.insert("reason".into(), json!(reason));
    problem
}

/// Writes the whole answer. `fields` writes those that belong to what went wrong.
pub(crate) fn write(
    out: &mut Vec<u8>,
    status: u16,
    problem: Map<String, Value>,
    fields: impl FnOnce(&mut Vec<u8>),
    head_only: bool,
    persistence: Persistence,
) {
    let body = Value::Object(problem).to_string();
    encode::status_line(out, status);
    field(out, b"Date", crate::clock::http_date().as_bytes());
    field(out, b"Content-Type", b"application/problem+json");
    encode::content_length(out, body.len() as u64);
    fields(out);
    persistence.write(out);
    out.extend_from_slice(encode::CRLF);
    if !head_only {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Writes when to come back.
pub(crate) fn retry_after(out: &mut Vec<u8>, after: Duration) {
    field(out, b"Retry-After", ceiling(after).to_string().as_bytes());
}

/// Whole seconds, rounded up: nobody comes back too early.
pub(crate) fn ceiling(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
