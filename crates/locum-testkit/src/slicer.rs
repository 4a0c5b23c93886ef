//! A wire on which what clients send arrives byte by byte.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Takes connections for somebody else and passes on every byte by itself, with a pause after each; what
/// comes back is passed on as it comes. The listener is there as long as the process.
#[derive(Debug)]
pub struct Slicer {
    address: SocketAddr,
}

impl Slicer {
    /// In front of this address.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                drop((client.set_nodelay(true), server.set_nodelay(true)));
                let clones = (client.try_clone(), server.try_clone());
                let (Ok(mut client_too), Ok(mut server_too)) = clones else { continue };
                thread::spawn(move || slice(client, server));
                thread::spawn(move || {
                    drop(std::io::copy(&mut server_too, &mut client_too));
                    drop(client_too.shutdown(Shutdown::Write));
                });
            }
        });
        Self { address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn slice(mut client: TcpStream, mut server: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = client.read(&mut buffer) {
        for byte in &buffer[..n] {
            if server.write_all(&[*byte]).is_err() {
                return;
            }
            // Not a wait for a state: it is what this wire does.
            thread::park_timeout(PAUSE);
        }
    }
    drop(server.shutdown(Shutdown::Write));
}

const PAUSE: Duration = Duration::from_millis(1);
