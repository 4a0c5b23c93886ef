//! What an answer means, and the answers of our own: those of the proxy.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use locum_policy::gates::fallback;
use locum_policy::{Cause, Kind, Rejection};
use serde_json::{Value, json};

use super::request::is_grpc;

/// What the head of an answer says of its attempt.
pub(super) fn cause(status: StatusCode, headers: &HeaderMap) -> Cause {
    // A gRPC answer without a message has its status in the head.
    match grpc_status(headers).filter(|_| is_grpc(headers)) {
        Some(code) => Cause::Grpc(code),
        None => Cause::Status(status.as_u16()),
    }
}

/// The status that gRPC puts into trailers, or into a head without a message.
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// How long an answer asks to wait before the next attempt.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(pushback) = headers.get("grpc-retry-pushback-ms") {
        // gRPC A6: what is no number, or a negative one, says not to retry.
        let millis = pushback.to_str().ok().and_then(|text| text.parse().ok());
        return Some(millis.map_or(Duration::MAX, Duration::from_millis));
    }
    // A date would need the wall clock; services tell seconds.
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The answer to a call that a policy refused.
pub(super) fn rejected(rejection: &Rejection) -> Response<Bytes> {
    let (status, error) = match rejection.kind {
        Kind::RateLimit => (StatusCode::TOO_MANY_REQUESTS, "http_request_denied"),
        Kind::Concurrency => (StatusCode::SERVICE_UNAVAILABLE, "connection_limit_reached"),
        Kind::Deadline => (StatusCode::GATEWAY_TIMEOUT, "http_response_timeout"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "destination_unavailable"),
    };
    let mut more = json!({ "policy": rejection.policy, "kind": rejection.kind.name() });
    if let Some(after) = rejection.retry_after {
        more["retry_after"] = json!(after.as_secs_f64());
    }
    if rejection.kind == Kind::RateLimit {
        more["violated-policies"] = json!([rejection.policy]);
    }
    let mut answer = problem(status, error, rejection.reason, &rejection.to_string(), more);
    let headers = answer.headers_mut();
    if let Some(after) = rejection.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(ceiling(after)));
    }
    // The RateLimit fields of the IETF draft: structured fields, whole seconds.
    if let Some(limit) = rejection.limit {
        let name = quoted(&rejection.policy);
        let policy = format!("{name};q={};w={}", limit.quota, ceiling(limit.window));
        let state = format!("{name};r={};t={}", limit.remaining, ceiling(limit.reset));
        insert(headers, "ratelimit-policy", &policy);
        insert(headers, "ratelimit", &state);
    }
    answer
}

/// The answer to a call whose time was over.
pub(super) fn timed_out(policy: &str, took: Duration) -> Response<Bytes> {
    let detail = format!("no answer within {:.3} s", took.as_secs_f64());
    let more = json!({ "policy": policy, "kind": Kind::Deadline.name() });
    problem(StatusCode::GATEWAY_TIMEOUT, "http_response_timeout", "timeout", &detail, more)
}

/// The answer of an attempt that was made to fail.
pub(super) fn fault(status: u16) -> Response<Bytes> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let detail = "a policy made this attempt fail on purpose";
    problem(status, "proxy_internal_response", "fault", detail, json!({}))
}

/// The answer to a call that no endpoint could take.
pub(super) fn unavailable() -> Response<Bytes> {
    let detail = "no endpoint is usable";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    problem(status, "destination_unavailable", "unavailable", detail, json!({}))
}

/// The answer that a policy has in store.
pub(super) fn fallback(settings: &fallback::Settings) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(settings.body.clone()));
    *answer.status_mut() =
        StatusCode::from_u16(settings.status).expect("a policy is built of statuses in range");
    for (name, value) in &settings.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// RFC 9457, and RFC 9209 for what stands between.
fn problem(
    status: StatusCode,
    error: &str,
    reason: &str,
    detail: &str,
    more: Value,
) -> Response<Bytes> {
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => {
            "https://iana.org/assignments/http-problem-types#quota-exceeded"
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
        }
        _ => "about:blank",
    };
    let mut body = json!({
        "type": kind,
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
        "reason": reason,
    });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    insert(headers, "proxy-status", &format!("locum; error={error}; details={}", quoted(detail)));
    answer
}

/// What cannot stand in a field is left out: the body says it too.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whole seconds, rounded up: nobody comes back too early.
fn ceiling(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A string of structured fields (RFC 8941 §3.3.3): printable ASCII in quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}
