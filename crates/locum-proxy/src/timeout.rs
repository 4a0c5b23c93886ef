//! How the time of a call travels over HTTP: what a peer gives it, what an attempt is given, and
//! when an answer says to come back.

use std::time::Duration;

use locum_policy::gates::deadline::codec;
use locum_wire::http1::encode::{self, field};
use locum_wire::http1::{Name, Request, Response};

use crate::clock;

/// What a request says of the time that its sender waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The shortest time named; `None`: none is.
    pub(crate) timeout: Option<Duration>,
    /// Fields that cannot be read, and are ignored.
    pub(crate) malformed: u64,
}

/// Reads what `request` says of time. Of several fields the smallest counts.
pub(crate) fn told(request: &Request<'_>) -> Told {
    let mut told = Told::default();
    for field in request.fields().filter(|field| field.kind == Name::Other) {
        let Some(form) = Form::of(field.name) else { continue };
        match form.parse(field.value) {
            Some(timeout) => told.timeout = Some(told.timeout.map_or(timeout, |t| t.min(timeout))),
            None => told.malformed += 1,
        }
    }
    told
}

/// Whether a field of that name tells of time, so that only we may write it.
pub(crate) fn is_told_by(name: &[u8]) -> bool {
    Form::of(name).is_some()
}

/// How a time is written.
#[derive(Clone, Copy)]
enum Form {
    Grpc,
    Millis,
}

impl Form {
    fn of(name: &[u8]) -> Option<Self> {
        let (known, form): (&[u8], _) = match name.len() {
            12 => (GRPC_TIMEOUT, Self::Grpc),
            20 => (b"x-request-timeout-ms", Self::Millis),
            30 => (b"x-envoy-expected-rq-timeout-ms", Self::Millis),
            _ => return None,
        };
        name.eq_ignore_ascii_case(known).then_some(form)
    }

    fn parse(self, value: &[u8]) -> Option<Duration> {
        match self {
            Self::Grpc => codec::parse_grpc_timeout(value),
            Self::Millis => codec::parse_millis(value),
        }
    }
}

/// Whether a message is gRPC's, whose peers look for time in a field of their own.
pub(crate) fn is_grpc(request: &Request<'_>) -> bool {
    let kind = request.get(Name::ContentType).unwrap_or_default();
    // gRPC over HTTP/2, "Requests": application/grpc, and with a suffix such as `+proto`.
    kind.get(..GRPC.len()).is_some_and(|head| head.eq_ignore_ascii_case(GRPC))
        && matches!(kind.get(GRPC.len()), None | Some(b'+' | b';' | b'-'))
}

/// Tells the peer how much time an attempt has. Rounded down: below, nobody may think that there is
/// more than there is.
pub(crate) fn tell(out: &mut Vec<u8>, left: Duration, grpc: bool) {
    if grpc {
        field(out, GRPC_TIMEOUT, codec::grpc_timeout(left).to_string().as_bytes());
        return;
    }
    out.extend_from_slice(b"x-request-timeout-ms: ");
    encode::decimal(out, u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    out.extend_from_slice(encode::CRLF);
}

/// How long `response` asks to wait before it is asked again; the longest time there is: for ever. Of
/// `Retry-After` and gRPC's pushback, the latter is the application's own word and counts.
pub(crate) fn retry_after(response: &Response<'_>) -> Option<Duration> {
    let mut after = None;
    for field in response.fields() {
        if field.kind == Name::RetryAfter {
            after = after.or_else(|| parse_retry_after(field.value));
        } else if field.name.eq_ignore_ascii_case(b"grpc-retry-pushback-ms") {
            // gRFC A6: a negative value, and one that cannot be read, asks not to be tried again.
            return Some(codec::parse_millis(field.value).unwrap_or(Duration::MAX));
        }
    }
    after
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn parse_retry_after(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Far beyond any call's time, however many digits there are.
        true => (!text.is_empty()).then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX))),
        false => clock::until_http_date(text),
    }
}

const GRPC_TIMEOUT: &[u8] = b"grpc-timeout";
const GRPC: &[u8] = b"application/grpc";

#[cfg(test)]
mod tests {
    use locum_wire::http1::{Head, Limits};

    use super::*;

    fn head(text: &str) -> (Head, Vec<u8>) {
        let mut head = Head::new();
        let bytes = text.as_bytes().to_vec();
        let limits = Limits { head_bytes: 4096, fields: 20, target_bytes: 100 };
        let whole = match text.starts_with("HTTP/") {
            true => head.parse_response(&bytes, &limits),
            false => head.parse_request(&bytes, &limits),
        };
        assert!(whole.unwrap());
        (head, bytes)
    }

    fn told_by(fields: &str) -> Told {
        let (head, bytes) = head(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        told(&head.request(&bytes))
    }

    #[test]
    fn the_smallest_of_what_is_told_counts_and_what_cannot_be_read_is_counted() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let cases = [
            ("", None, 0),
            ("grpc-timeout: 1S\r\n", millis(1000), 0),
            ("Grpc-Timeout: 1S\r\nx-request-timeout-ms: 700\r\n", millis(700), 0),
            ("x-request-timeout-ms: 700\r\nx-envoy-expected-rq-timeout-ms: 90\r\n", millis(90), 0),
            ("x-request-timeout-ms: 700\r\nx-request-timeout-ms: 500\r\n", millis(500), 0),
            ("x-request-timeout-ms: -1\r\ngrpc-timeout: 123456789m\r\n", None, 2),
            ("x-request-timeout-ms: soon\r\ngrpc-timeout: 20m\r\n", millis(20), 1),
            ("x-request-timeout-us: 5\r\n", None, 0),
        ];
        for (fields, timeout, malformed) in cases {
            assert_eq!(told_by(fields), Told { timeout, malformed }, "{fields:?}");
        }
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        let cases = [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", true),
            ("application/grpcx", false),
            ("application/json", false),
        ];
        for (kind, grpc) in cases {
            let (head, bytes) =
                head(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n\r\n"));
            assert_eq!(is_grpc(&head.request(&bytes)), grpc, "{kind}");
        }
    }

    #[test]
    fn an_attempt_is_told_its_time_rounded_down() {
        let said = |nanos, grpc| {
            let mut out = Vec::new();
            tell(&mut out, Duration::from_nanos(nanos), grpc);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(said(845_000_000, true), "grpc-timeout: 845000u\r\n");
        assert_eq!(said(845_999_999, false), "x-request-timeout-ms: 845\r\n");
    }

    #[test]
    fn answers_say_when_to_come_back() {
        let said = |fields: &str| {
            let (head, bytes) = head(&format!("HTTP/1.1 503 No\r\n{fields}\r\n"));
            retry_after(&head.response(&bytes))
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(said(""), None);
        assert_eq!(said("Retry-After: 7\r\n"), seconds(7));
        assert_eq!(said("Retry-After: 99999999999999999999999\r\n"), seconds(u64::MAX));
        assert_eq!(said("Retry-After: soon\r\n"), None);
        assert_eq!(said("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), seconds(0));
        let pushback =
            |value| said(&format!("Retry-After: 7\r\ngrpc-retry-pushback-ms: {value}\r\n"));
        assert_eq!(pushback("250"), Some(Duration::from_millis(250)));
        assert_eq!(pushback("-1"), Some(Duration::MAX));
        assert_eq!(pushback("later"), Some(Duration::MAX));
    }
}
