//! What a request says of where it came from.

use locum_wire::http1::Name;
use locum_wire::http1::encode::read_field;

use super::address::Address;
use crate::caller::Caller;
use crate::route::Edits;

/// X-Forwarded-* and Forwarded (RFC 7239): rebuilt from the connection, or, if the peer is trusted,
/// appended to what it says.
pub(super) fn write_forwarded(head: &mut Vec<u8>, caller: &Caller<'_>, edits: &Edits) {
    let request = &caller.request;
    if let (Some(host @ [_, ..]), false, true) =
        (request.host(), caller.trusted, edits.dropped.is_empty())
    {
        return write_forwarded_anew(head, caller, host);
    }
    let earlier = |name: Name| {
        let believed = if caller.trusted { usize::MAX } else { 0 };
        let fields = request.fields().take(believed).filter(move |field| field.kind == name);
        fields.map(|field| field.value).filter(|value| !value.is_empty())
    };
    let address = Address::of(caller.peer);
    let scheme: &[u8] = if caller.secure { b"https" } else { b"http" };

    if !edits.drops(b"x-forwarded-for") {
        head.extend_from_slice(b"X-Forwarded-For: ");
        for value in earlier(Name::XForwardedFor) {
            head.extend_from_slice(value);
            head.extend_from_slice(b", ");
        }
        head.extend_from_slice(address.text());
        head.extend_from_slice(b"\r\n");
    }
    let host = request.host().unwrap_or_default();
    if !edits.drops(b"x-forwarded-proto") {
        let scheme = earlier(Name::XForwardedProto).next().unwrap_or(scheme);
        read_field(head, b"X-Forwarded-Proto", scheme);
    }
    if !edits.drops(b"x-forwarded-host") {
        read_field(head, b"X-Forwarded-Host", earlier(Name::XForwardedHost).next().unwrap_or(host));
    }
    if !edits.drops(b"forwarded") {
        head.extend_from_slice(b"Forwarded: ");
        for value in earlier(Name::Forwarded) {
            head.extend_from_slice(value);
            head.extend_from_slice(b", ");
        }
        head.extend_from_slice(b"for=");
        address.write_node(head);
        if !host.is_empty() {
            // A port's colon is no token character, so a host is always quoted.
            head.extend_from_slice(b";host=\"");
            head.extend_from_slice(host);
            head.push(b'"');
        }
        head.extend_from_slice(b";proto=");
        head.extend_from_slice(scheme);
        head.extend_from_slice(b"\r\n");
    }
}

/// The same of a peer that is not trusted, all of it: few pieces, as this is on the way of most calls.
fn write_forwarded_anew(head: &mut Vec<u8>, caller: &Caller<'_>, host: &[u8]) {
    let address = Address::of(caller.peer);
    let scheme: [&[u8]; 2] = match caller.secure {
        true => [b"\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: ", b"\";proto=https\r\n"],
        false => [b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ", b"\";proto=http\r\n"],
    };
    let [before, after] = address.node_marks();
    for piece in [
        b"X-Forwarded-For: ",
        address.text(),
        scheme[0],
        host,
        b"\r\nForwarded: for=",
        before,
        address.text(),
        after,
        b";host=\"",
        host,
        scheme[1],
    ] {
        head.extend_from_slice(piece);
    }
}
