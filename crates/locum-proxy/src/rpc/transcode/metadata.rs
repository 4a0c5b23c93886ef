//! What a request says besides its argument, as what goes with a call.

use locum_wire::http1::{Field, Name, Request};
use locum_wire::rpc::{Metadata, TraceParent};

use crate::caller::Caller;
use crate::forward;
use crate::route::{Edits, HeaderEdits, Route};

/// The trace that the request belongs to, unless the route keeps it back.
pub(super) fn trace(request: &Request<'_>, edits: &Edits) -> Option<TraceParent> {
    let value = request.get(Name::Traceparent).filter(|_| !edits.drops(b"traceparent"))?;
    str::from_utf8(value).ok()?.parse().ok()
}

/// The fields that HTTP would forward, but for those that say something of the message that ends here. Names
/// are in lower case; values that are no UTF-8 stay behind.
pub(super) fn of(request: &Request<'_>, edits: &Edits) -> Vec<u8> {
    encoded(pairs(request, edits))
}

/// The same as a route edits it; `None` where it edits nothing.
pub(super) fn edited(caller: &Caller<'_>, route: &Route) -> Option<Vec<u8>> {
    let edits = (&route.settings.request_headers, &route.request_edits);
    edited_by(&caller.request, edits, caller.passed().collect())
}

fn edited_by(
    request: &Request<'_>,
    (wanted, edits): (&HeaderEdits, &Edits),
    passed: Vec<(&str, &[u8])>,
) -> Option<Vec<u8>> {
    let HeaderEdits { set, add, remove } = wanted;
    if set.is_empty() && add.is_empty() && remove.is_empty() && passed.is_empty() {
        return None;
    }
    let dropped = |name: &str| {
        let mut dropped = remove.iter().chain(set.iter().map(|(name, _)| name));
        dropped.any(|dropped| dropped.eq_ignore_ascii_case(name))
    };
    let passed = passed.into_iter();
    let passed =
        passed.filter_map(|(name, value)| Some((name.to_owned(), str::from_utf8(value).ok()?)));
    let left = pairs(request, edits).chain(passed).filter(|(name, _)| !dropped(name));
    let ours = set.iter().chain(add);
    let ours = ours.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
    Some(encoded(left.chain(ours)))
}

fn pairs<'a>(request: &Request<'a>, edits: &Edits) -> impl Iterator<Item = (String, &'a str)> {
    let goes_on = |it: &Field<'_>| forward::goes_on(it) && !edits.owned.holds(it.name);
    let fields = request.fields().filter(move |it| goes_on(it) && !ends_here(it.kind));
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
        assert_eq!(list(&of(&request, &Edits::default())), ["tenant: blue", "cookie: a=b"]);
        assert_eq!(trace(&request, &Edits::default()).map(|trace| trace.flags), Some(1));

        let none = (&HeaderEdits::default(), &Edits::default());
        assert_eq!(edited_by(&request, none, Vec::new()), None);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let edits = HeaderEdits {
            set: vec![pair("Tenant", "red")],
            add: vec![pair("tenant", "green")],
            remove: vec!["COOKIE".to_owned(), "Traceparent".to_owned()],
        };
        let owned = ["x-user", "cookie"].into_iter().collect();
        let ours = Edits { owned, ..Edits::default() };
        assert_eq!(list(&of(&request, &ours)), ["tenant: blue"]);

        let built = Edits::build(&edits);
        let given = edited_by(&request, (&edits, &built), vec![("x-user", b"ann")]).unwrap();
        assert_eq!(list(&given), ["x-user: ann", "tenant: red", "tenant: green"]);
        assert_eq!(trace(&request, &Edits::build(&edits)), None);
    }
}
