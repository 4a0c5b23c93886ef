//! Addresses of this process where no call may go, however they are written.
//!
//! An API that only this machine may ask is asked by whoever can have a proxy on this machine ask it
//! (CVE-2025-23217). Names, numbers and wildcards are many ways to write one address, so what counts is where a
//! connection has come out.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use tokio::net::{TcpStream, UnixStream};

/// Of the process, as the sockets are.
static RESERVED: RwLock<Vec<SocketAddr>> = RwLock::new(Vec::new());
static RESERVED_PATHS: RwLock<Vec<PathBuf>> = RwLock::new(Vec::new());

/// From now on no connection of a proxy in this process leads to whoever listens at `address`.
pub fn reserve(address: SocketAddr) {
    RESERVED.write().unwrap_or_else(PoisonError::into_inner).push(address);
}

/// The same of whoever listens on a unix socket by that path.
pub fn reserve_path(path: PathBuf) {
    RESERVED_PATHS.write().unwrap_or_else(PoisonError::into_inner).push(path);
}

/// Whether a connection that was made may be used.
///
/// # Errors
///
/// It leads to where no call may go.
pub(crate) fn check(stream: &TcpStream) -> io::Result<()> {
    let reserved = RESERVED.read().unwrap_or_else(PoisonError::into_inner);
    if reserved.is_empty() {
        return Ok(());
    }
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    if reserved.iter().any(|listens| is_reached(*listens, peer, local)) {
        return Err(refused());
    }
    Ok(())
}

/// The same of a unix socket, by whatever links: its peer tells the path by which it listens.
///
/// # Errors
///
/// As of [`check`].
pub(crate) fn check_unix(stream: &UnixStream) -> io::Result<()> {
    let reserved = RESERVED_PATHS.read().unwrap_or_else(PoisonError::into_inner);
    if reserved.is_empty() {
        return Ok(());
    }
    let peer = stream.peer_addr()?;
    match peer.as_pathname() {
        Some(path) if reserved.iter().any(|listens| listens == path) => Err(refused()),
        _ => Ok(()),
    }
}

fn refused() -> io::Error {
    let text = "that is this program's own admin API, where no call may go";
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// Whether a connection from `local` to `peer` reaches who listens at `listens`.
fn is_reached(listens: SocketAddr, peer: SocketAddr, local: SocketAddr) -> bool {
    let [listens_ip, peer_ip, local_ip] =
        [listens, peer, local].map(|address| address.ip().to_canonical());
    // Who connects to an address of this machine comes from that address.
    let stays_here = peer_ip.is_loopback() || peer_ip == local_ip;
    listens.port() == peer.port()
        && (listens_ip == peer_ip || (listens_ip.is_unspecified() && stays_here))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_where_a_connection_comes_out() {
        for (listens, peer, local, reached) in [
            ("127.0.0.1:9900", "127.0.0.1:9900", "127.0.0.1:4", true),
            ("127.0.0.1:9900", "[::ffff:127.0.0.1]:9900", "[::ffff:127.0.0.1]:4", true),
            ("[::ffff:127.0.0.1]:9900", "127.0.0.1:9900", "127.0.0.1:4", true),
            ("127.0.0.1:9900", "127.0.0.1:9901", "127.0.0.1:4", false),
            ("127.0.0.1:9900", "127.0.0.2:9900", "127.0.0.1:4", false),
            ("127.0.0.1:9900", "10.0.0.7:9900", "10.0.0.1:4", false),
            ("0.0.0.0:9900", "127.0.0.2:9900", "127.0.0.1:4", true),
            ("0.0.0.0:9900", "10.0.0.1:9900", "10.0.0.1:4", true),
            ("0.0.0.0:9900", "10.0.0.7:9900", "10.0.0.1:4", false),
            ("[::]:9900", "127.0.0.1:9900", "127.0.0.1:4", true),
            ("[::]:9900", "[2001:db8::1]:9900", "[2001:db8::1]:4", true),
            ("[::1]:9900", "[::1]:9900", "[::1]:4", true),
        ] {
            let [listens_at, to, from] = [listens, peer, local].map(|it| it.parse().unwrap());
            assert_eq!(is_reached(listens_at, to, from), reached, "{listens} {peer}");
        }
    }
}
