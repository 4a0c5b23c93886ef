//! What a request says besides its argument, as what goes with a call.

use locum_wire::http1::{Name, Request};
use locum_wire::rpc::{Metadata, TraceParent};

use crate::forward;
use crate::route::{Edits, HeaderEdits};

/// The trace that the request belongs to, unless the route keeps it back.
pub(super) fn trace(request: &Request<'_>, edits: &Edits) -> Option<TraceParent> {
    let value = request.get(Name::Traceparent).filter(|_| !edits.drops(b"traceparent"))?;
    str::from_utf8(value).ok()?.parse().ok()
}

/// The fields that HTTP would forward, but for those that say something of the message that ends here. Names
/// are in lower case; values that are no UTF-8 stay behind.
pub(super) fn of(request: &Request<'_>) -> Vec<u8> {
    encoded(pairs(request))
}

/// The same as a route edits it; `None` where it edits nothing.
pub(super) fn edited(request: &Request<'_>, edits: &HeaderEdits) -> Option<Vec<u8>> {
    let HeaderEdits { set, add, remove } = edits;
    if set.is_empty() && add.is_empty() && remove.is_empty() {
        return None;
    }
    let dropped = |name: &str| {
        let mut dropped = remove.iter().chain(set.iter().map(|(name, _)| name));
        dropped.any(|dropped| dropped.eq_ignore_ascii_case(name))
    };
    let left = pairs(request).filter(|(name, _)| !dropped(name));
    let ours = set.iter().chain(add);
    let ours = ours.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
    Some(encoded(left.chain(ours)))
}

fn pairs<'a>(request: &Request<'a>) -> impl Iterator<Item = (String, &'a str)> {
    let fields = request.fields().filter(|it| forward::goes_on(it) && !ends_here(it.kind));
    fields.filter_map(|it| {
        let name = str::from_utf8(it.name).ok()?.to_ascii_lowercase();
        Some((name, str::from_utf8(it.value).ok()?))
    })
}

fn encoded<'a>(pairs: impl Iterator<Item = (String, &'a str)>) -> Vec<u8> {
    let mut metadata = Vec::new();
    Metadata::encode(&pairs.collect::<Vec<_>>(), &mut metadata);
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
        let list = |metadata: &[u8]| {
            let pairs = Metadata::parse(metadata).unwrap();
            pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(list(&of(&request)), ["tenant: blue", "cookie: a=b"]);
        assert_eq!(trace(&request, &Edits::default()).map(|trace| trace.flags), Some(1));

        assert_eq!(edited(&request, &HeaderEdits::default()), None);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let edits = HeaderEdits {
            set: vec![pair("Tenant", "red")],
            add: vec![pair("tenant", "green")],
            remove: vec!["COOKIE".to_owned(), "Traceparent".to_owned()],
        };
        let given = edited(&request, &edits).unwrap();
        assert_eq!(list(&given), ["tenant: red", "tenant: green"]);
        assert_eq!(trace(&request, &Edits::build(&edits)), None);
    }
}
