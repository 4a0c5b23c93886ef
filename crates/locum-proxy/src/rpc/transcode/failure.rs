//! What a service says when it fails, over HTTP.

use locum_wire::rpc::{Class, Failure, Refusal};
use serde_json::json;

use crate::forward::Persistence;
use crate::problem;
use crate::route::Edits;

/// The status of the answer.
pub(super) fn status(failure: &Failure<'_>) -> u16 {
    match failure.class {
        Class::App => 422,
        Class::UnknownMethod => 404,
        Class::BadArguments => 400,
        Class::Rejected => match &failure.refusal {
            Some(Refusal { kind, .. }) if kind == "rate_limit" => 429,
            _ => 503,
        },
        Class::Deadline => 504,
        Class::Cancelled | Class::Unavailable => 503,
        Class::Internal => 500,
    }
}

/// One stable word.
fn reason<'a>(failure: &'a Failure<'_>) -> &'a str {
    match (failure.class, &failure.refusal) {
        (_, Some(refusal)) => &refusal.reason,
        (Class::App, _) => "application",
        (Class::UnknownMethod, _) => "unknown_method",
        (Class::BadArguments, _) => "argument",
        (Class::Rejected, _) => "rejected",
        (Class::Deadline, _) => "deadline",
        (Class::Cancelled, _) => "cancelled",
        (Class::Unavailable, _) => "unavailable",
        (Class::Internal, _) => "internal",
    }
}

/// Writes the whole answer: the service's own words, and its number where it gave one. A refusal, of a
/// proxy that is further on, is told as ours are.
pub(super) fn write(
    out: &mut Vec<u8>,
    failure: &Failure<'_>,
    edits: &Edits,
    persistence: Persistence,
) {
    let status = status(failure);
    let mut body = problem::problem(status, reason(failure), &failure.text);
    if let Some(code) = failure.code {
        body.insert("code".into(), json!(code));
    }
    let mut after = None;
    if let Some(Refusal { kind, policy, retry_after, .. }) = &failure.refusal {
        body.insert("kind".into(), json!(kind));
        body.insert("policy".into(), json!(policy));
        if let Some(retry_after) = retry_after {
            body.insert("retry_after".into(), json!(retry_after.as_secs_f64()));
            after = Some(*retry_after);
        }
    }
    let fields = |out: &mut Vec<u8>| {
        if let Some(after) = after {
            problem::retry_after(out, after);
        }
        out.extend_from_slice(&edits.lines);
    };
    problem::write(out, status, body, fields, false, persistence);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn written(failure: &Failure<'_>) -> (String, Value) {
        let mut out = Vec::new();
        write(&mut out, failure, &Edits::default(), Persistence::Kept);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), serde_json::from_str(body).unwrap())
    }

    #[test]
    fn each_class_has_its_status_and_the_services_words() {
        let cases = [
            (Failure::app("divide by zero"), 422, "application"),
            (Failure::unknown_service("No.Such"), 404, "unknown_method"),
            (Failure::bad_arguments("gob: type mismatch"), 400, "argument"),
            (Failure::deadline(), 504, "deadline"),
            (Failure::cancelled(), 503, "cancelled"),
            (Failure::unavailable("it drains"), 503, "unavailable"),
            (Failure::internal("a handler panicked"), 500, "internal"),
        ];
        for (failure, status, reason) in cases {
            let (head, body) = written(&failure);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains("Content-Type: application/problem+json"), "{head}");
            assert_eq!(body["status"], status);
            assert_eq!(body["reason"], reason);
            assert_eq!(body["detail"], &*failure.text);
        }
    }

    #[test]
    fn a_refusal_from_further_on_is_told_as_ours() {
        for (kind, status) in [("rate_limit", 429), ("breaker", 503), ("concurrency", 503)] {
            let text = format!("locum: rejected by {kind} \"careful\": why; retry after 4.2s");
            let (head, body) = written(&Failure::of_text(text));
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains("\r\nRetry-After: 5"), "{head}");
            assert_eq!(body["kind"], kind);
            assert_eq!(body["policy"], "careful");
            assert_eq!(body["reason"], "why");
            assert_eq!(body["retry_after"], 4.2);
        }
    }

    #[test]
    fn an_applications_own_number_is_told() {
        let failure = Failure { code: Some(-7), ..Failure::app("no") };
        assert_eq!(written(&failure).1["code"], -7);
    }
}
