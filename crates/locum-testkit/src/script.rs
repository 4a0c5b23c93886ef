//! What an upstream does with a connection: one named way of behaving, or misbehaving, each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::upstream::Connection;

/// Answers every request with this body.
pub fn answers(body: impl Into<Vec<u8>>) -> impl Fn(&mut Connection) {
    let body = body.into();
    move |peer| {
        while let Some(request) = peer.request() {
            peer.answer(&request, &body);
        }
    }
}

/// Answers every request with its own target.
pub fn names_the_target() -> impl Fn(&mut Connection) {
    |peer| {
        while let Some(request) = peer.request() {
            peer.answer(&request, request.target.as_bytes());
        }
    }
}

/// Answers with what it saw, as JSON: `method`, `target`, `headers` (a list of pairs), `body`,
/// `trailers`.
pub fn echoes() -> impl Fn(&mut Connection) {
    |peer| {
        while let Some(request) = peer.request() {
            let seen = json!({
                "method": request.method,
                "target": request.target,
                "headers": request.headers.0,
                "body": String::from_utf8_lossy(&request.body),
                "trailers": request.trailers.0,
            });
            peer.answer(&request, seen.to_string().as_bytes());
        }
    }
}

/// Answers every request with this status line (`"503 Service Unavailable"`) and a short body.
pub fn says(status: &'static str) -> impl Fn(&mut Connection) {
    move |peer| {
        while let Some(request) = peer.request() {
            peer.answer_with(&request, status, &[], status.as_bytes());
        }
    }
}

/// Answers every request with exactly these bytes and keeps the connection.
pub fn sends_raw(bytes: impl Into<Vec<u8>>) -> impl Fn(&mut Connection) {
    let bytes = bytes.into();
    move |peer| {
        while peer.request().is_some() {
            peer.send(&bytes);
        }
    }
}

/// Answers the first request with exactly these bytes and closes.
pub fn sends_raw_and_closes(bytes: impl Into<Vec<u8>>) -> impl Fn(&mut Connection) {
    let bytes = bytes.into();
    move |peer| {
        if peer.request().is_some() {
            peer.send(&bytes);
        }
    }
}

/// Takes the request and never answers, until the peer gives up.
pub fn hangs() -> impl Fn(&mut Connection) {
    |peer| {
        if peer.request().is_some() {
            peer.wait_for_close();
        }
    }
}

/// Takes the request and resets the connection.
pub fn resets() -> impl Fn(&mut Connection) {
    |peer| {
        if peer.request().is_some() {
            peer.reset();
        }
    }
}

/// Answers a body of so many bytes, one byte and one pause at a time.
pub fn trickles(bytes: usize, pause: Duration) -> impl Fn(&mut Connection) {
    move |peer| {
        while peer.request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes());
            for _ in 0..bytes {
                std::thread::sleep(pause);
                if peer.try_send(b".").is_err() {
                    return;
                }
            }
        }
    }
}

/// Claims one length and sends another, then closes (too little) or waits (too much).
pub fn lies_about_length(claimed: usize, sent: usize) -> impl Fn(&mut Connection) {
    move |peer| {
        while peer.request().is_some() {
            let mut answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {claimed}\r\n\r\n").into_bytes();
            answer.resize(answer.len() + sent, b'x');
            peer.send(&answer);
            if sent < claimed {
                return;
            }
        }
    }
}

/// Cuts a chunked body before its last chunk.
pub fn cuts_a_chunked_body() -> impl Fn(&mut Connection) {
    sends_raw_and_closes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
}

/// Answers, and closes without having announced it.
pub fn closes_after_each_answer() -> impl Fn(&mut Connection) {
    |peer| {
        if let Some(request) = peer.request() {
            peer.answer(&request, b"ok");
        }
    }
}

/// Answers the first request of a connection; takes the second one in and closes without a word.
/// It is what the race between an idle timeout and the next request looks like to the sender.
pub fn closes_an_idle_connection_as_the_next_request_arrives() -> impl Fn(&mut Connection) {
    |peer| {
        if let Some(request) = peer.request() {
            peer.answer(&request, b"ok");
            peer.request();
        }
    }
}

/// Answers as soon as it has the head, and reads the body only afterwards.
pub fn answers_before_the_body(status: &'static str) -> impl Fn(&mut Connection) {
    move |peer| {
        if let Some(request) = peer.request_head() {
            peer.answer_with(&request, status, &[("Connection", "close")], b"early");
            peer.wait_for_close();
        }
    }
}

/// Sends `100 Continue` once it has the head, then reads the body, then answers with its length.
pub fn continues() -> impl Fn(&mut Connection) {
    |peer| {
        while let Some(request) = peer.continued_request() {
            peer.answer(&request, request.body.len().to_string().as_bytes());
        }
    }
}

/// Sends two `103 Early Hints` before every answer.
pub fn hints_early() -> impl Fn(&mut Connection) {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
    sends_raw(format!("{hint}{hint}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
}

/// Answers, and sends an answer that nobody asked for after it.
pub fn sends_an_unsolicited_answer() -> impl Fn(&mut Connection) {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    sends_raw(format!("{answer}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED"))
}

/// Fails the first so many requests with a status line, then answers.
pub fn fails_first(failures: usize, status: &'static str) -> impl Fn(&mut Connection) {
    let seen = AtomicUsize::new(0);
    move |peer| {
        while let Some(request) = peer.request() {
            if seen.fetch_add(1, Ordering::SeqCst) < failures {
                peer.answer_with(&request, status, &[], b"not yet");
            } else {
                peer.answer(&request, b"ok");
            }
        }
    }
}
