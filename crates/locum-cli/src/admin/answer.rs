//! Answers of the admin API, and the bodies that are asked with.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

pub(super) type Answer = Response<Full<Bytes>>;

/// The text of a body.
pub(super) async fn body_of(request: Request<Incoming>) -> Result<String, Answer> {
    let body = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let Ok(Ok(body)) = body else {
        let detail = "the body is cut short, too large or too slow";
        return Err(problem(StatusCode::BAD_REQUEST, detail));
    };
    String::from_utf8(body.to_bytes().to_vec())
        .map_err(|_| problem(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
}

pub(super) fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

pub(super) fn problem(status: StatusCode, detail: &str) -> Answer {
    let title = status.canonical_reason();
    let value = json!({ "title": title, "status": status.as_u16(), "detail": detail });
    let mut answer = json(status, &value);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer
}

pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    let mut answer = text(status, &format!("{value:#}\n"));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(super) fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 1 << 20;
