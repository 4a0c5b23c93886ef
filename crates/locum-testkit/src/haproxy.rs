//! A real HAProxy, for what it invented.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::clock::eventually;

/// A running HAProxy. Dropping it kills it.
#[derive(Debug)]
pub struct HaProxy {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
    /// Keeps the port from others; HAProxy listens beside it.
    _reserved: Socket,
}

impl HaProxy {
    /// Starts one with these lines after `bind ADDRESS OPTIONS` in a `listen` section.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or does not listen.
    pub fn start(options: &str, lines: &[&str]) -> Self {
        let reserved = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        reserved.set_reuse_port(true).expect("Linux knows it");
        reserved.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        let address = reserved.local_addr().expect("it is bound").as_socket().expect("of IPv4");
        let config = format!(
            "defaults\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             listen it\n bind {address} {options}\n {}\n",
            lines.join("\n ")
        );
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, config).expect("a writable temporary directory");
        let child = Command::new("haproxy")
            .args(["-db", "-q", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .expect("haproxy is installed");
        eventually("HAProxy listens", || TcpStream::connect(address).is_ok());
        Self { child, address, _directory: directory, _reserved: reserved }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
