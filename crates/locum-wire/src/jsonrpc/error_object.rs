//! What stands for a result that is not there.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::envelope::{Parts, string};
use super::line::unbroken;
use super::scan::whole;
use super::{code, text};
use crate::rpc::{Class, Failure, Refusal};

/// What is known of a refusal, as `data`.
#[derive(Serialize, Deserialize)]
struct Data<'a> {
    kind: Cow<'a, str>,
    policy: Cow<'a, str>,
    reason: Cow<'a, str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
}

/// Appends `{"code":…,"message":…,"data":…}`.
pub(super) fn put(out: &mut Vec<u8>, failure: &Failure<'_>) {
    out.extend_from_slice(b"{\"code\":");
    out.extend_from_slice(code::of(failure).to_string().as_bytes());
    out.extend_from_slice(b",\"message\":");
    text::put(out, &failure.text);
    if let Some(refusal) = &failure.refusal {
        let data = Data {
            kind: Cow::Borrowed(&refusal.kind),
            policy: Cow::Borrowed(&refusal.policy),
            reason: Cow::Borrowed(&refusal.reason),
            retry_after: refusal.retry_after.map(|after| after.as_secs_f64()),
        };
        out.extend_from_slice(b",\"data\":");
        serde_json::to_writer(&mut *out, &data).expect("a vector takes text and numbers");
    } else if let Some(detail) = failure.detail.as_deref().and_then(as_json) {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(unbroken(detail).as_bytes());
    }
    out.push(b'}');
}

/// What `error` says, which is well-formed and not null: the text of 1.0, the object of 2.0, or whatever
/// somebody else thought of.
pub(super) fn read(error: &str) -> Failure<'_> {
    if let Some(text) = string(error) {
        return Failure::of_text(text);
    }
    object(error).unwrap_or_else(|| Failure::app(error))
}

fn object(error: &str) -> Option<Failure<'_>> {
    let mut parts = error.starts_with('{').then(|| Parts::of(error))?;
    let (mut code, mut message, mut data) = (None, None, None);
    while let Some((name, value)) = parts.member() {
        match &*name {
            "code" => code = value.parse().ok(),
            "message" => message = string(value),
            "data" => data = Some(value),
            _ => {}
        }
    }
    let (class, code) = code::meaning(code?);
    let text = message?;
    let refused = matches!(class, Class::Rejected | Class::Deadline);
    let refusal =
        refused.then(|| data.and_then(refusal).or_else(|| Refusal::parse(&text))).flatten();
    let detail = data.map(|data| Cow::Borrowed(data.as_bytes())).filter(|_| !refused);
    Some(Failure { code, detail, refusal, ..Failure::new(class, text) })
}

fn refusal(data: &str) -> Option<Refusal> {
    let data: Data<'_> = serde_json::from_str(data).ok()?;
    let after = |seconds| Duration::try_from_secs_f64(seconds).ok();
    Some(Refusal {
        kind: data.kind.into_owned(),
        policy: data.policy.into_owned(),
        reason: data.reason.into_owned(),
        retry_after: data.retry_after.and_then(after),
    })
}

/// The object, array or string in JSON that `detail` is, if it is one. A number is not taken for one: in
/// another encoding anything may look like that.
fn as_json(detail: &[u8]) -> Option<&str> {
    let value = whole(detail, usize::MAX).ok()?;
    str::from_utf8(value).ok().filter(|json| json.starts_with(['{', '[', '"']))
}
