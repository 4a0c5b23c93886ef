//! hyper's server, run on bytes in memory: what requests it sees in them.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

use crate::strict::Message;

/// The requests that hyper hands to a service, whole ones only. Of a target it tells the path and
/// the query.
pub(crate) fn read_all(bytes: &[u8]) -> Vec<Message> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let fields = head.headers.iter();
                seen.borrow_mut().push(Message {
                    method: head.method.as_str().into(),
                    target: head
                        .uri
                        .path_and_query()
                        .map(ToString::to_string)
                        .unwrap_or_default()
                        .into(),
                    fields: fields
                        .map(|(name, it)| (name.as_str().into(), it.as_bytes().into()))
                        .collect(),
                    body: body.to_bytes().into(),
                });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = http1::Builder::new();
    builder.half_close(true).header_read_timeout(None).auto_date_header(false);
    let mut connection =
        pin!(builder.serve_connection(Memory { unread: bytes.to_vec(), at: 0 }, service));
    let mut context = Context::from_waker(Waker::noop());
    // Nothing is ever waited for: a connection that is not ready has only yielded.
    let _ = (0..1000).find(|_| connection.as_mut().poll(&mut context).is_ready());
    seen.take()
}

/// A client that has sent everything, has closed, and does not care for the answers.
struct Memory {
    unread: Vec<u8>,
    at: usize,
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.unread.len().min(self.at + buf.remaining());
        buf.put_slice(&self.unread[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
