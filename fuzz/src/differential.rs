//! Our reading beside hyper's.

use locum_wire::http1::{Chunked, Framing, Head, Limits, Piece, Request, Target};

use crate::gateway::Gateway;
use crate::oracle;
use crate::strict::{self, Message};

/// What is passed on is read by hyper exactly as by the strict reader; and of the client's own
/// bytes, the first request is refused by us when hyper refuses it, or is the same to both.
pub fn differential(bytes: &[u8]) {
    let outcome = Gateway::serve([bytes]);
    let sent = outcome.forwarded.concat();
    let ours = strict::read_all(&sent).expect("what is passed on is strict");
    let theirs = oracle::read_all(&sent);
    assert_eq!(sorted(theirs), sorted(ours), "passed on: {}", sent.escape_ascii());

    if let Some(ours) = read_first(bytes) {
        let Some(theirs) = oracle::read_all(bytes).into_iter().next() else {
            assert!(is_known_difference(bytes), "only we read: {}", bytes.escape_ascii());
            return;
        };
        assert_eq!(sorted([theirs]), sorted([ours]), "first: {}", bytes.escape_ascii());
    }
}

/// Whether there is a reason for hyper to refuse a request that we take:
///
/// - It knows no HTTP/1.2 and later; RFC 9110 §2.5 has them processed as the highest known.
fn is_known_difference(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|it| *it == b'\r').next().unwrap_or_default();
    matches!(line, [.., b'2'..=b'9'])
}

/// The first request of a connection as it was sent, if it is whole.
fn read_first(bytes: &[u8]) -> Option<Message> {
    let mut head = Head::new();
    if head.parse_request(bytes, &Limits::default()) != Ok(true) {
        return None;
    }
    let request = head.request(bytes);
    let content = &bytes[head.len()..];
    let body = match request.framing() {
        Framing::None => Vec::new(),
        Framing::Length(length) => content.get(..usize::try_from(length).ok()?)?.to_vec(),
        Framing::Chunked => read_chunks(content)?,
        Framing::UntilClose => unreachable!("requests have no such framing"),
    };
    Some(Message {
        method: request.method().into(),
        target: path_and_query(&request),
        fields: request
            .fields()
            .map(|it| (it.name.to_ascii_lowercase(), it.value.into()))
            .collect(),
        body,
    })
}

fn path_and_query(request: &Request<'_>) -> Vec<u8> {
    // To hyper a URI without a path has the path `/`, whatever the method.
    let is_bare_uri = request.target() == Target::Asterisk && request.raw_target() != b"*";
    let path = if is_bare_uri { b"/" } else { request.path() };
    let query = request.query().map(|query| [b"?", query].concat());
    [path, &query.unwrap_or_default()].concat()
}

fn read_chunks(mut input: &[u8]) -> Option<Vec<u8>> {
    let mut chunked = Chunked::new(&Limits::default());
    let mut body = Vec::new();
    loop {
        let (used, piece) = chunked.next(input).ok()?;
        match piece {
            Piece::Data(range) => body.extend_from_slice(&input[range]),
            Piece::NeedMore => return None,
            Piece::End => return Some(body),
        }
        input = &input[used..];
    }
}

/// hyper keeps the order of values, but not of names.
fn sorted(messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
    let mut messages: Vec<Message> = messages.into_iter().collect();
    for message in &mut messages {
        message.fields.sort_by(|one, other| one.0.cmp(&other.0));
    }
    messages
}
