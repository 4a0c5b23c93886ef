//! The native protocol.

use locum_wire::native::{Answers, Requests};
use locum_wire::rpc::{Body, Limits};

use crate::cut;
use crate::stream::stream;

/// Frames mean the same however they are cut, to a server and to a client; any body can be asked to be
/// any value.
pub fn native(bytes: &[u8]) {
    for message in [16 << 20, 40] {
        let limits = Limits { message, ..Limits::default() };
        let read = |pieces: Vec<&[u8]>| {
            let (mut requests, mut answers) = (Requests::new(&limits), Answers::new(&limits));
            let server = stream(&pieces, |input, taken| {
                let seen = requests.next(input, taken).map(|it| it.map(|it| format!("{it:?}")));
                (seen, requests.needs())
            });
            let client = stream(&pieces, |input, taken| {
                let seen = answers.next(input, taken).map(|it| it.map(|it| format!("{it:?}")));
                (seen, answers.needs())
            });
            (server, client)
        };
        let whole = read(vec![bytes]);
        assert_eq!(read(bytes.chunks(1).collect()), whole, "byte by byte");
        assert_eq!(read(cut(bytes)), whole, "cut");
    }
    let body = Body { bytes, form: locum_wire::rpc::Form::Postcard };
    let _ = body.decode::<Vec<(u64, Option<String>)>>();
    let _ = body.decode::<std::collections::BTreeMap<i32, Vec<()>>>();
}
