//! What a request says besides its argument, as what goes with a call.

use locum_wire::http1::{Name, Request};
use locum_wire::rpc::{Metadata, TraceParent};

use crate::forward;

/// The trace that the request belongs to.
pub(super) fn trace(request: &Request<'_>) -> Option<TraceParent> {
    str::from_utf8(request.get(Name::Traceparent)?).ok()?.parse().ok()
}

/// The fields that HTTP would forward, but for those that say something of the message that ends here. Names
/// are in lower case; values that are no UTF-8 stay behind.
pub(super) fn of(request: &Request<'_>) -> Vec<u8> {
    let fields = request.fields().filter(|it| forward::goes_on(it) && !ends_here(it.kind));
    let pairs: Vec<_> = fields
        .filter_map(|it| {
            let name = str::from_utf8(it.name).ok()?.to_ascii_lowercase();
            Some((name, str::from_utf8(it.value).ok()?))
        })
        .collect();
    let mut metadata = Vec::new();
    Metadata::encode(&pairs, &mut metadata);
    metadata
}

/// Whether a field is about the HTTP message, or has a place of its own in a call.
fn ends_here(kind: Name) -> bool {
    matches!(
        kind,
        Name::Accept
            | Name::AcceptEncoding
            | Name::CacheControl
            | Name::ContentEncoding
            | Name::ContentRange
            | Name::ContentType
            | Name::Range
            | Name::Traceparent
            | Name::Via
    )
}

#[cfg(test)]
mod tests {
    use locum_wire::http1::{Head, Limits};

    use super::*;

    #[test]
    fn what_is_for_the_service_goes_with_the_call() {
        let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTenant: blue\r\n\
            Connection: x-hop\r\nX-Hop: 1\r\nX-Forwarded-For: 1.2.3.4\r\ngrpc-timeout: 1S\r\n\
            Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
            X-Latin: caf\u{e9}\r\nCookie: a=b\r\n\r\n";
        // As Latin-1, so that one value is no UTF-8.
        let bytes: Vec<u8> = text.chars().map(|it| it as u8).collect();
        let mut head = Head::new();
        let limits = Limits { head_bytes: 4096, fields: 20, target_bytes: 100 };
        assert!(head.parse_request(&bytes, &limits).unwrap());
        let request = head.request(&bytes);
        let metadata = of(&request);
        let pairs: Vec<_> = Metadata::parse(&metadata).unwrap().iter().collect();
        assert_eq!(pairs, [("tenant", "blue"), ("cookie", "a=b")]);
        assert_eq!(trace(&request).map(|trace| trace.flags), Some(1));
    }
}
