//! A call of gRPC of the proxy's own, with one message each way (gRPC over HTTP/2).

use locum_wire::http1::encode::{self, field};

use super::{Answer, Line};
use crate::grpc::Status;

/// Calls the method at `path` with `message` over a line that is one stream of HTTP/2; `fields` are sent beside gRPC's
/// own. Gives the message of the answer, which has at most `most` bytes, or the status with which the call failed.
///
/// # Errors
///
/// It was not answered, or not in gRPC.
///
/// # Cancel safety
///
/// The line is of no use after the future was dropped.
pub(crate) async fn call(
    line: &mut Line,
    host: &str,
    path: &str,
    fields: &[(String, String)],
    message: &[u8],
    most: usize,
) -> Result<Result<Vec<u8>, Status>, String> {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
    request.extend_from_slice(
        b"Content-Type: application/grpc\r\nUser-Agent: locum\r\nTE: trailers\r\nConnection: TE\r\n",
    );
    for (name, value) in fields {
        field(&mut request, name.as_bytes(), value.as_bytes());
    }
    encode::content_length(&mut request, (PREFIX + message.len()) as u64);
    request.extend_from_slice(encode::CRLF);
    // Not compressed, and its length.
    request.push(0);
    request.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    request.extend_from_slice(message);
    read(line.ask(&request, PREFIX + most).await?)
}

fn read(answer: Answer) -> Result<Result<Vec<u8>, Status>, String> {
    let Answer { status, fields, mut body, trailers, .. } = answer;
    if status != 200 {
        return Err(format!("it answered {status}"));
    }
    // Where there is no message, the head is what trailers would be.
    let last = if trailers.is_empty() { &fields } else { &trailers };
    let status = Status::of_trailers(last.iter().map(|(name, value)| (&**name, &**value)));
    if status != Status::OK {
        return Ok(Err(status));
    }
    match *body {
        [0, a, b, c, d, ..] if u32::from_be_bytes([a, b, c, d]) as usize == body.len() - PREFIX => {
            Ok(Ok(body.split_off(PREFIX)))
        }
        _ => Err("its answer is not one message of gRPC".to_owned()),
    }
}

/// Before a message stand a flag and its length.
const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(
        status: u16,
        fields: &[(&str, &str)],
        body: &[u8],
        trailers: &[(&str, &str)],
    ) -> Answer {
        let pairs = |pairs: &[(&str, &str)]| {
            let pair =
                |(name, value): &(&str, &str)| (name.as_bytes().into(), value.as_bytes().into());
            pairs.iter().map(pair).collect()
        };
        let (fields, trailers) = (pairs(fields), pairs(trailers));
        Answer { status, fields, body: body.to_vec(), trailers, reusable: true }
    }

    #[test]
    fn an_answer_is_a_message_or_a_status_or_none() {
        let ok = [("grpc-status", "0")];
        assert_eq!(read(answer(200, &[], b"\0\0\0\0\x02hi", &ok)), Ok(Ok(b"hi".to_vec())));
        assert_eq!(read(answer(200, &[("grpc-status", "12")], b"", &[])), Ok(Err(Status(12))));
        let failed = answer(200, &[], b"\0\0\0\0\x02hi", &[("grpc-status", "14")]);
        assert_eq!(read(failed), Ok(Err(Status(14))));
        assert_eq!(read(answer(200, &[], b"\0\0\0\0\x02hi", &[])), Ok(Err(Status::UNKNOWN)));
        assert_eq!(read(answer(404, &[], b"", &[])), Err("it answered 404".to_owned()));
        for body in [&b""[..], b"\0\0\0\0\x03hi", b"\x01\0\0\0\x02hi", b"\0\0\0\0\x01hi"] {
            assert!(read(answer(200, &[], body, &ok)).is_err(), "{body:?}");
        }
    }
}
