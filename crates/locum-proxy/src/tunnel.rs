//! After `101 Switching Protocols`: bytes both ways, until one side is done.

use std::future::poll_fn;
use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use locum_policy::Cause;

use crate::buffer::Buffer;
use crate::client::Next;
use crate::exchange::{Answered, Exchange};
use crate::forward;
use crate::record::Ended;
use crate::route::Route;
use crate::stream::Stream;
use crate::tcp::pipe::Pipe;

/// Hands the upstream's 101 to the client and joins the two connections.
///
/// The tunnel starts only now: nothing that the client sent after its request has reached the
/// upstream before the upstream agreed (CVE-2026-2833).
#[expect(
    clippy::await_holding_refcell_ref,
    reason = "the call is over, so nobody else touches the client's stream"
)]
pub(crate) async fn tunnel(
    exchange: &Exchange<'_, '_>,
    mut answered: Answered,
    route: &Route,
) -> (Cause, Ended) {
    let caller = exchange.caller;
    let mut client = caller.stream.borrow_mut();
    let connection = &mut answered.connection;

    let mut head = exchange.worker.scratch();
    let response = answered.head.response(connection.buffer.filled());
    let cookie = exchange.upstream.cookie(answered.endpoint, &caller.request);
    let accept = match connection.stream.is_http2() && !caller.http2 {
        true => caller.request.get_other(b"sec-websocket-key").map(accept),
        false => None,
    };
    forward::switching_head(&mut head, &response, accept, cookie, &route.response_edits);
    connection.buffer.consume(answered.head.len());
    head.extend_from_slice(connection.buffer.filled());
    connection.buffer.consume(connection.buffer.filled().len());

    let early = caller.upload.borrow_mut().take_rest();
    let begun: io::Result<()> = async {
        write_all(&mut client, &head).await?;
        write_all(&mut connection.stream, &early).await
    }
    .await;
    exchange.worker.give_scratch(head);
    let mut bytes = 0;
    if begun.is_ok() {
        let mut said = Buffer::new(&exchange.worker.buffers);
        let mut pipe = Pipe::between(&mut client, &mut said, connection);
        // However it ended, there is nobody left to tell.
        let _ = pipe.run_on().await;
        bytes = pipe.bytes().1;
    }
    let cause = Cause::Status(101);
    (cause, Ended::answered(101, cause, bytes, Next::Abort))
}

/// The proof that a WebSocket was agreed to (RFC 6455 §4.2.2), which a server of HTTP/2 does not give.
fn accept(key: &[u8]) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    BASE64_STANDARD.encode(proof)
}

async fn write_all(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        sent += poll_fn(|cx| stream.poll_send(cx, &bytes[sent..])).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_that_of_the_example() {
        // RFC 6455 §1.3.
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
