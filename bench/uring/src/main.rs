//! How much another way to the kernel gives: one loop that carries requests of HTTP/1.1 to an origin and their
//! answers back, on epoll (tokio) and on io_uring (compio, monoio). The loop knows of a head only its end
//! and of a body only its length; what differs is the way to the kernel.
//!
//! `uring tokio|compio|monoio LISTEN ORIGIN`

#![forbid(unsafe_code)]

mod compio_loop;
mod epoll_loop;
mod monoio_loop;

use std::net::SocketAddr;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let address = |at: usize| -> SocketAddr { words[at].parse().expect("an address") };
    let (listen, origin) = (address(2), address(3));
    match words[1].as_str() {
        "tokio" => epoll_loop::run(listen, origin),
        "compio" => compio_loop::run(listen, origin),
        "monoio" => monoio_loop::run(listen, origin),
        other => panic!("no loop is on {other}"),
    }
}

/// Large enough for a request and for an answer of a kibibyte.
pub(crate) const BUFFER: usize = 16 * 1024;

/// Whether `bytes` are a whole message: its head, and as many bytes as that says.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    bytes.len() >= end + 4 + length.map_or(0, |length| length.parse().unwrap_or(0))
}
