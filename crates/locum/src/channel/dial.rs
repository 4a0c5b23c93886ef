//! Making one connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_wire::connect;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::transport::Io;
#[cfg(feature = "tls")]
use crate::transport::tls;

/// Where one endpoint is, as far as it takes to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Addresses of one endpoint, which are tried in this order, and the host that they were found as.
    Tcp { addresses: Vec<SocketAddr>, host: String },
    /// A Unix socket.
    Unix(PathBuf),
    /// Whatever the program's own connector makes of this name.
    Named(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { addresses, host } => match addresses.first() {
                Some(first) => first.fmt(f),
                None => f.write_str(host),
            },
            Self::Unix(path) => path.display().fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) struct Unconnected {
    pub(super) reason: Arc<str>,
    /// It took too long.
    pub(super) timed_out: bool,
}

/// A connection in the making.
pub(super) type Connecting = Pin<Box<dyn Future<Output = io::Result<Io>> + Send>>;

/// Makes connections to an endpoint of this name.
pub(super) type Connector = Arc<dyn Fn(&str) -> Connecting + Send + Sync>;

/// How connections are made.
#[derive(Clone)]
pub(super) struct Dialer {
    /// In place of the system's sockets.
    pub(super) connector: Option<Connector>,
    /// Whether a `CONNECT` comes first, as Go's `rpc.DialHTTP` sends it.
    pub(super) tunnel: bool,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tls::ClientSettings>,
    /// How long making a connection may take, with all that comes before the first call.
    pub(super) connect_timeout: Duration,
    /// After how much silence the system asks whether the peer is there.
    pub(super) tcp_keepalive: Option<Duration>,
}

impl Dialer {
    /// Makes a connection on which calls can be sent; and what the server has said already.
    pub(super) async fn dial(&self, address: &Address) -> Result<(Io, Vec<u8>), Unconnected> {
        let error = match timeout(self.connect_timeout, self.connect(address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        let timed_out = error.kind() == io::ErrorKind::TimedOut;
        Err(Unconnected { reason: format!("{address}: {error}").into(), timed_out })
    }

    async fn connect(&self, address: &Address) -> io::Result<(Io, Vec<u8>)> {
        let mut io = match (&self.connector, address) {
            (Some(connector), address) => connector(&address.to_string()).await?,
            (None, Address::Tcp { addresses, .. }) => self.first_of(addresses).await?,
            (None, Address::Unix(path)) => Io::Unix(UnixStream::connect(path).await?),
            (None, Address::Named(name)) => {
                let reason = format!("`{name}` needs a connector of the program's own");
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let host = match address {
                Address::Tcp { host, .. } => host.as_str(),
                Address::Named(name) => {
                    name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host)
                }
                Address::Unix(_) => "localhost",
            };
            io = tls.connect(host, io).await?;
        }
        let said = if self.tunnel { tunnel(&mut io).await? } else { Vec::new() };
        Ok((io, said))
    }

    /// The first that can be connected to. Each has its share of the time, so that one from which
    /// nothing comes back leaves the others some.
    async fn first_of(&self, addresses: &[SocketAddr]) -> io::Result<Io> {
        let share =
            self.connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut error = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for address in addresses {
            match timeout(share, self.tcp(*address)).await {
                Ok(Ok(io)) => return Ok(io),
                Ok(Err(refused)) => error = refused,
                Err(_) => error = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(error)
    }

    async fn tcp(&self, address: SocketAddr) -> io::Result<Io> {
        let stream = TcpStream::connect(address).await?;
        // Whoever writes here gathers what there is to be written itself.
        stream.set_nodelay(true)?;
        if let Some(silence) = self.tcp_keepalive {
            // The system counts in seconds, and refuses none as well as more than these.
            let [time, interval] = [silence, silence / 3]
                .map(|time| time.clamp(Duration::from_secs(1), Duration::from_secs(32_767)));
            let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
            SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        }
        Ok(Io::Tcp(stream))
    }
}

/// Asks for the protocol behind the `CONNECT`, and waits until it is granted: Go's server drops what it
/// has read beyond the head.
async fn tunnel(io: &mut Io) -> io::Result<Vec<u8>> {
    io.write_all(connect::REQUEST).await?;
    io.flush().await?;
    let mut response = connect::Response::default();
    let mut said = Vec::new();
    loop {
        if io.read_buf(&mut said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match response.read(&said) {
            Ok(Some(head)) => return Ok(said.split_off(head.min(said.len()))),
            Ok(None) => {}
            Err(unexpected) => {
                let reason = format!("the answer to CONNECT is `{}`", unexpected.0);
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
    }
}
