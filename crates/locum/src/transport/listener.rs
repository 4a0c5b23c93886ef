//! Where connections come in.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use super::{Address, Io, Peer};

/// Takes connections in.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    /// The file goes first: once nobody listens, another server may have put its own there.
    Unix(SocketFile, UnixListener),
    Memory(mpsc::Receiver<Io>),
}

impl Listener {
    /// Listens on `address`. The file of a Unix socket on which nobody listens any more is replaced.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the address back.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        let kind = match address {
            Address::Tcp { host, port } => {
                Kind::Tcp(TcpListener::bind((host.as_str(), *port)).await?)
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                Kind::Unix(SocketFile(path.clone()), listener)
            }
        };
        Ok(Self(kind))
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// The system's. Most pass: the peer has gone already, or there are too many files open.
    /// [`NotConnected`](io::ErrorKind::NotConnected) does not: nobody can connect to it any more.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    pub async fn accept(&mut self) -> io::Result<(Io, Peer)> {
        match &mut self.0 {
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Whoever writes here gathers what there is to be written itself. Where this fails the peer
                // has gone, as the first read will tell.
                let _ = stream.set_nodelay(true);
                // A client whose machine has gone says nothing of it, and a connection may rest for ever.
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                Ok((Io::Tcp(stream), Peer::Tcp(address)))
            }
            Kind::Unix(_, listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Io::Unix(stream), Peer::Unix))
            }
            Kind::Memory(incoming) => match incoming.recv().await {
                Some(io) => Ok((io, Peer::Memory)),
                None => Err(io::ErrorKind::NotConnected.into()),
            },
        }
    }

    /// Where it listens, with the port that the system chose; `None`: in memory.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn address(&self) -> io::Result<Option<Address>> {
        Ok(match &self.0 {
            Kind::Tcp(listener) => {
                let address = listener.local_addr()?;
                Some(Address::Tcp { host: address.ip().to_string(), port: address.port() })
            }
            Kind::Unix(SocketFile(path), _) => Some(Address::Unix(path.clone())),
            Kind::Memory(_) => None,
        })
    }
}

/// A listener in this program, and what connects to it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
/// let (dialer, mut listener) = locum::transport::memory();
/// let mut near = dialer.dial().await?;
/// let (mut far, _) = listener.accept().await?;
/// near.write_all(b"hello").await?;
/// let mut heard = [0; 5];
/// far.read_exact(&mut heard).await?;
/// assert_eq!(&heard, b"hello");
/// # Ok::<_, std::io::Error>(())
/// # })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn memory() -> (Dialer, Listener) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (Dialer(sender), Listener(Kind::Memory(receiver)))
}

/// Connects to a [`memory()`] listener. Clones connect to the same one.
#[derive(Clone, Debug)]
pub struct Dialer(mpsc::Sender<Io>);

impl Dialer {
    /// Makes a connection; each direction holds 64 KiB that were not read yet.
    ///
    /// # Errors
    ///
    /// The listener has gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up.
    pub async fn dial(&self) -> io::Result<Io> {
        let (near, far) = tokio::io::duplex(PIPE);
        match self.0.send(Io::Memory(far)).await {
            Ok(()) => Ok(Io::Memory(near)),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// Has the listener accept `io`, whatever it is.
    ///
    /// # Errors
    ///
    /// The listener has gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops `io`.
    pub async fn give(&self, io: Io) -> io::Result<()> {
        let given = self.0.send(io).await;
        given.map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }
}

/// A Unix socket stays in the file system until somebody removes it.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes the socket that a server which died left at `path`; one that answers stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = || {
        let asked = std::os::unix::net::UnixStream::connect(path);
        asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && refused() { std::fs::remove_file(path) } else { Ok(()) }
}

/// How long a client is silent before the system asks whether it is there, and how long between.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How many connections wait to be accepted.
const BACKLOG: usize = 128;

/// Bytes that one direction of a connection in memory holds.
const PIPE: usize = 64 << 10;
