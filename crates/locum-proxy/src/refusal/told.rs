//! A refusal as its client is told.

use locum_policy::{Kind, LimitState, Rejection};
use locum_wire::http1::encode::field;
use serde_json::{Map, Value, json};

use super::Refusal;
use crate::forward::Persistence;
use crate::grpc;
use crate::problem::{self, ceiling};

impl Refusal {
    /// Writes the whole answer.
    pub(crate) fn write(&self, out: &mut Vec<u8>, head_only: bool, persistence: Persistence) {
        if let Some(answer) = &self.answer {
            return answer.write(out, head_only, persistence);
        }
        let fields = |out: &mut Vec<u8>| self.write_fields(out);
        problem::write(out, self.status, self.problem(), fields, head_only, persistence);
    }

    /// The same for a caller of gRPC.
    pub(crate) fn write_grpc(&self, out: &mut Vec<u8>, persistence: Persistence) {
        let refused = grpc::Refused {
            status: grpc::Status::of_http(self.status),
            detail: &self.detail,
            retry_after: self.rejection.as_ref().and_then(|rejection| rejection.retry_after),
        };
        refused.write(out, |out| self.write_fields(out), persistence);
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        if let Some((name, value)) = &self.instead {
            field(out, name.as_bytes(), value.as_bytes());
        }
        if let Some(rejection) = &self.rejection {
            write_rejection(out, rejection);
        }
        let details = quoted(&self.detail);
        let status = format!("locum; error={}; details={details}", self.proxy_error);
        field(out, b"Proxy-Status", status.as_bytes());
    }

    fn problem(&self) -> Map<String, Value> {
        let mut problem = problem::problem(self.status, self.reason, &self.detail);
        if let Some(rejection) = &self.rejection {
            problem.insert("policy".into(), json!(rejection.policy));
            problem.insert("kind".into(), json!(rejection.kind.name()));
            if let Some(after) = rejection.retry_after {
                problem.insert("retry_after".into(), json!(after.as_secs_f64()));
            }
            if rejection.kind == Kind::RateLimit {
                problem.insert("violated-policies".into(), json!([rejection.policy]));
            }
        }
        if let Some(policy) = &self.timed_by {
            problem.insert("policy".into(), json!(policy));
            problem.insert("kind".into(), json!(Kind::Deadline.name()));
        }
        problem
    }
}

fn write_rejection(out: &mut Vec<u8>, rejection: &Rejection) {
    if let Some(after) = rejection.retry_after {
        problem::retry_after(out, after);
    }
    if let Some(limit) = rejection.limit {
        write_limit(out, &rejection.policy, limit);
    }
}

/// The RateLimit fields of the IETF draft: structured fields, whole seconds.
fn write_limit(out: &mut Vec<u8>, name: &str, limit: LimitState) {
    let name = quoted(name);
    let policy = format!("{name};q={};w={}", limit.quota, ceiling(limit.window));
    let state = format!("{name};r={};t={}", limit.remaining, ceiling(limit.reset));
    field(out, b"RateLimit-Policy", policy.as_bytes());
    field(out, b"RateLimit", state.as_bytes());
}

/// A string of structured fields (RFC 8941 §3.3.3): printable ASCII in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
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
