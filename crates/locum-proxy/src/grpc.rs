//! What gRPC says inside of HTTP: the status behind an answer, and how a refusal is told in its words.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use locum_policy::gates::retry::GRPC_STATUSES;
use locum_wire::http1::Response;
use locum_wire::http1::encode::{self, decimal, field};
use locum_wire::protobuf::Writer;

use crate::forward::Persistence;

/// A status of gRPC (its `statuscodes.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Status(pub(crate) u8);

impl Status {
    pub(crate) const OK: Self = Self(0);
    const CANCELLED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    const DEADLINE_EXCEEDED: Self = Self(4);
    const PERMISSION_DENIED: Self = Self(7);
    const RESOURCE_EXHAUSTED: Self = Self(8);
    const UNIMPLEMENTED: Self = Self(12);
    const INTERNAL: Self = Self(13);
    const UNAVAILABLE: Self = Self(14);
    const UNAUTHENTICATED: Self = Self(16);

    /// The status that an answer's own fields tell, where it is over with its head.
    pub(crate) fn of_head(response: &Response<'_>) -> Option<Self> {
        response.get_other(GRPC_STATUS).map(Self::parse)
    }

    /// The status among trailers. An answer without is no answer (gRPC over HTTP/2, "Responses").
    pub(crate) fn of_trailers<'a>(
        trailers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Self {
        let mut trailers = trailers.into_iter();
        let status = trailers.find(|(name, _)| name.eq_ignore_ascii_case(GRPC_STATUS));
        status.map_or(Self::UNKNOWN, |(_, value)| Self::parse(value))
    }

    /// What is no status is UNKNOWN, as the libraries of gRPC have it.
    fn parse(value: &[u8]) -> Self {
        let text = std::str::from_utf8(value).ok();
        text.and_then(|text| text.parse().ok()).map_or(Self::UNKNOWN, Self)
    }

    /// What a refusal with this status of HTTP is over gRPC.
    pub(crate) fn of_http(status: u16) -> Self {
        match status {
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 | 405 => Self::UNIMPLEMENTED,
            413 | 429 => Self::RESOURCE_EXHAUSTED,
            499 => Self::CANCELLED,
            408 | 504 => Self::DEADLINE_EXCEEDED,
            502 | 503 => Self::UNAVAILABLE,
            _ => Self::INTERNAL,
        }
    }

    /// Whether the service, or the way to it, failed, and not only the caller.
    pub(crate) fn is_failure(self) -> bool {
        // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        matches!(self.0, 2 | 4 | 13 | 14 | 15)
    }

    /// As programs write it.
    pub(crate) fn name(self) -> &'static str {
        GRPC_STATUSES.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }
}

/// A refusal, as a caller of gRPC is told.
pub(crate) struct Refused<'a> {
    pub(crate) status: Status,
    pub(crate) detail: &'a str,
    /// When to come back.
    pub(crate) retry_after: Option<Duration>,
}

impl Refused<'_> {
    /// Writes the whole answer: a head whose fields are what trailers would be (gRPC over HTTP/2,
    /// "Trailers-Only"). `fields` writes those that a refusal has over HTTP as well.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        fields: impl FnOnce(&mut Vec<u8>),
        persistence: Persistence,
    ) {
        encode::status_line(out, 200);
        field(out, b"Date", crate::clock::http_date().as_bytes());
        field(out, b"Content-Type", b"application/grpc");
        encode::content_length(out, 0);
        out.extend_from_slice(b"grpc-status: ");
        decimal(out, u64::from(self.status.0));
        out.extend_from_slice(b"\r\ngrpc-message: ");
        percent_encode(out, self.detail.as_bytes());
        out.extend_from_slice(encode::CRLF);
        if let Some(after) = self.retry_after {
            let details = STANDARD_NO_PAD.encode(self.details(after));
            field(out, b"grpc-status-details-bin", details.as_bytes());
            // gRFC A6: whole milliseconds; nobody comes back too early.
            out.extend_from_slice(b"grpc-retry-pushback-ms: ");
            decimal(out, after.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX));
            out.extend_from_slice(encode::CRLF);
        }
        fields(out);
        persistence.write(out);
        out.extend_from_slice(encode::CRLF);
    }

    /// A `google.rpc.Status` with a `google.rpc.RetryInfo` in it.
    fn details(&self, after: Duration) -> Vec<u8> {
        let mut status = Vec::new();
        let mut out = Writer(&mut status);
        out.number(1, u64::from(self.status.0));
        out.text(2, self.detail);
        out.message(3, |any| {
            any.text(1, "type.googleapis.com/google.rpc.RetryInfo");
            any.message(2, |info| {
                info.message(1, |delay| {
                    delay.number(1, after.as_secs());
                    delay.number(2, u64::from(after.subsec_nanos()));
                });
            });
        });
        status
    }
}

/// gRPC over HTTP/2, "Status-Message".
fn percent_encode(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'%' | 0..b' ' | 0x7f.. => {
                out.push(b'%');
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const GRPC_STATUS: &[u8] = b"grpc-status";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_found_among_trailers_and_what_is_none_is_unknown() {
        let of = |trailers: &[(&'static str, &'static str)]| {
            let trailers = trailers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            Status::of_trailers(trailers).name()
        };
        assert_eq!(of(&[("x", "1"), ("Grpc-Status", "14")]), "UNAVAILABLE");
        assert_eq!(of(&[("grpc-status", "0")]), "OK");
        assert_eq!(of(&[]), "UNKNOWN");
        assert_eq!(of(&[("grpc-status", "-1")]), "UNKNOWN");
        assert_eq!(of(&[("grpc-status", "300")]), "UNKNOWN");
    }

    #[test]
    fn a_refusal_says_why_and_when_to_come_back() {
        let refused = Refused {
            status: Status::of_http(429),
            detail: "50 % gone\n",
            retry_after: Some(Duration::from_micros(1_500_100)),
        };
        let mut out = Vec::new();
        refused.write(&mut out, |_| {}, Persistence::Kept);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{text}");
        assert!(text.contains("\r\ngrpc-status: 8\r\n"), "{text}");
        assert!(text.contains("\r\ngrpc-message: 50 %25 gone%0A\r\n"), "{text}");
        assert!(text.contains("\r\ngrpc-retry-pushback-ms: 1501\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        let details = text.split("grpc-status-details-bin: ").nth(1).unwrap();
        let details = details.split("\r\n").next().unwrap();
        let details = STANDARD_NO_PAD.decode(details).unwrap();
        // code 8, then the message of 10 bytes.
        assert_eq!(details[..4], [0x08, 8, 0x12, 10]);
        // RetryInfo { retry_delay { seconds: 1, nanos: 500100000 } }
        assert_eq!(details[details.len() - 10..], [0x0a, 8, 8, 1, 0x10, 0xa0, 0xd7, 0xbb, 0xee, 1]);
    }
}
