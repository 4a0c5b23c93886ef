//! What ten thousand idle connections cost in memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::peer::{HAPROXY, LOCUM_ALL, NGINX, Peer};
use crate::process::Step;

/// Resident memory in KiB, before and with the connections.
pub(super) struct Memory {
    pub(super) name: &'static str,
    pub(super) at_rest: u64,
    pub(super) with_idle: u64,
}

pub(super) const CONNECTIONS: usize = 10_000;

/// Each server afresh, with connections that made one request each.
pub(super) fn all(origin: SocketAddr) -> Result<Vec<Memory>, String> {
    [NGINX, HAPROXY, LOCUM_ALL]
        .iter()
        .map(|server| {
            let step = Step::new(&format!("{} with {CONNECTIONS} idle connections", server.name));
            let peer = Peer::start(server, origin)?;
            open(peer.address)?;
            let at_rest = peer.resident()?;
            let idle = (0..CONNECTIONS).map(|_| open(peer.address));
            let idle: Vec<_> = idle.collect::<Result<_, _>>()?;
            let with_idle = peer.resident()?;
            drop(idle);
            step.done();
            Ok(Memory { name: server.name, at_rest, with_idle })
        })
        .collect()
}

/// A connection that made one request.
fn open(address: SocketAddr) -> Result<TcpStream, String> {
    let ask = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n")?;
        let mut answer = Vec::new();
        while !ends_with_the_body(&answer) {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => answer.extend(&buffer[..n]),
            }
        }
        Ok(stream)
    };
    ask().map_err(|error| format!("an idle connection: {error}"))
}

/// The origin's body is a kibibyte, and every one of these proxies passes its length on.
fn ends_with_the_body(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + 1024)
}
