//! The answer that a policy has in store for when there is none, or none worth having.

use locum_policy::gates::fallback;
use locum_policy::{Bound, Cause, End};
use locum_wire::http1::encode::{self, field};

use crate::caller::Caller;
use crate::exchange::{Answered, Exchange, Failure};
use crate::forward::{Delivery, Persistence};
use crate::record::Ended;
use crate::refusal::{Refusal, quoted};
use crate::route::{Edits, Route};
use crate::worker::Worker;

/// Answers in place of `end`, which a fallback of `policy` is for. Tells how the attempt ended all
/// the same: what is counted of upstreams is what happened.
pub(crate) async fn fall_back(
    exchange: &Exchange<'_, '_>,
    end: End<Result<Answered, Failure>>,
    policy: &Bound,
    settings: &fallback::Settings,
    route: &Route,
) -> (Cause, Ended) {
    let Exchange { caller, worker, upstream, record, .. } = exchange;
    let (cause, why) = match end {
        End::Ended(cause, Ok(answered)) => {
            let status = answered.status;
            answered.discard(exchange);
            (cause, Why::Status(status))
        }
        End::Ended(cause, Err(failure)) => match Refusal::failed(&failure, upstream) {
            Some(refusal) => (cause, Why::Refusal(refusal)),
            None => return (cause, Ended::gone()),
        },
        End::TimedOut => {
            let took = worker.now().since(record.started());
            (Cause::Timeout, Why::Refusal(Refusal::timed_out(took, policy.name())))
        }
        End::Rejected(rejection) => {
            (Cause::Unavailable, Why::Refusal(Refusal::rejected(rejection)))
        }
        End::Unavailable => {
            (Cause::Unavailable, Why::Refusal(Refusal::unavailable(&upstream.settings.name)))
        }
    };
    (cause, answer(caller, settings, &why, route, worker).await)
}

/// Answers with a fallback, and says what it stands for.
pub(crate) async fn answer(
    caller: &Caller<'_>,
    settings: &fallback::Settings,
    why: &Why,
    route: &Route,
    worker: &Worker,
) -> Ended {
    caller.upload.borrow_mut().skip_received();
    let persistence = caller.persistence(Delivery::Nothing, worker);
    let mut out = worker.scratch();
    write(&mut out, settings, why, &route.response_edits, caller.head_only, persistence);
    caller.tell_pages(&mut out);
    let (bytes, next) = caller.send(out, persistence, worker).await;
    Ended::fell_back(settings.status, why.reason(), bytes, next)
}

/// What the fallback stands for.
pub(crate) enum Why {
    /// An upstream answered with this status.
    Status(u16),
    /// The proxy would have answered itself.
    Refusal(Refusal),
}

impl Why {
    /// One stable word.
    fn reason(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Refusal(refusal) => refusal.reason,
        }
    }

    /// RFC 9209: what the proxy has to say of an answer.
    fn proxy_status(&self) -> String {
        match self {
            Self::Status(status) => {
                let details = quoted(&format!("fallback: the upstream answered {status}"));
                format!("locum; received-status={status}; details={details}")
            }
            Self::Refusal(refusal) => {
                let details = quoted(&format!("fallback: {}", refusal.detail));
                format!("locum; error={}; details={details}", refusal.proxy_error)
            }
        }
    }
}

fn write(
    out: &mut Vec<u8>,
    settings: &fallback::Settings,
    why: &Why,
    edits: &Edits,
    head_only: bool,
    persistence: Persistence,
) {
    encode::status_line(out, settings.status);
    field(out, b"Date", crate::clock::http_date().as_bytes());
    for (name, value) in &settings.headers {
        if !edits.drops(name.as_bytes()) {
            field(out, name.as_bytes(), value.as_bytes());
        }
    }
    // RFC 9110 §8.6: no length in a 204, and in a 304 only that of the answer it stands for.
    if !matches!(settings.status, 204 | 304) {
        encode::content_length(out, settings.body.len() as u64);
    }
    field(out, b"Proxy-Status", why.proxy_status().as_bytes());
    persistence.write(out);
    out.extend_from_slice(&edits.lines);
    out.extend_from_slice(b"\r\n");
    if !head_only {
        out.extend_from_slice(settings.body.as_bytes());
    }
}
