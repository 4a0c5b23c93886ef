//! A real nginx, as a server of files.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::clock::eventually;

/// A running nginx. Dropping it kills it.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
    /// Keeps the port from others; nginx listens beside it.
    _reserved: Socket,
}

impl Nginx {
    /// Starts one with these lines in its `server`, in which `{directory}` is one that it may write to.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or does not listen.
    pub fn start(lines: &str) -> Self {
        let reserved = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        reserved.set_reuse_port(true).expect("Linux knows it");
        reserved.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        let address = reserved.local_addr().expect("it is bound").as_socket().expect("of IPv4");
        let config = format!(
            "daemon off;\nmaster_process off;\npid {{directory}}/pid;\nerror_log stderr crit;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n access_log off;\n keepalive_requests 1000000;\n client_max_body_size 8m;\n\
             default_type text/plain;\n client_body_temp_path {{directory}}/body;\n\
             proxy_temp_path {{directory}}/proxy;\n fastcgi_temp_path {{directory}}/fastcgi;\n\
             uwsgi_temp_path {{directory}}/uwsgi;\n scgi_temp_path {{directory}}/scgi;\n\
             server {{\n listen {address} reuseport;\n {lines}\n }}\n}}\n"
        );
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config =
            config.replace("{directory}", directory.path().to_str().expect("a plain name"));
        let file = directory.path().join("nginx.conf");
        fs::write(&file, config).expect("a writable temporary directory");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg("stderr")
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        eventually("nginx listens", || TcpStream::connect(address).is_ok());
        Self { child, address, _directory: directory, _reserved: reserved }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
