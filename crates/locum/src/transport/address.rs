//! Where connections are to be had.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::net::{TcpStream, UnixStream};

use super::Io;

/// An address to listen on, or to connect to: `tcp://0.0.0.0:1234`, `unix:/run/arith.sock`.
///
/// ```
/// use locum::transport::Address;
/// let address: Address = "tcp://[::1]:1234".parse()?;
/// assert_eq!(address, Address::Tcp { host: "::1".into(), port: 1234 });
/// # Ok::<_, locum::transport::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// A name or an address; an IPv6 address is without brackets.
        host: String,
        /// To listen, 0 lets the system choose.
        port: u16,
    },
    /// A Unix socket's path.
    Unix(PathBuf),
}

impl Address {
    /// Makes a connection. A name is looked up, and its addresses are tried one after the other.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up.
    pub async fn connect(&self) -> io::Result<Io> {
        match self {
            Self::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Whoever writes here gathers what there is to be written itself.
                stream.set_nodelay(true)?;
                Ok(Io::Tcp(stream))
            }
            Self::Unix(path) => UnixStream::connect(path).await.map(Io::Unix),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x.sock` is `unix:/run/x.sock`.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(AddressError::new(text, "it names no path"))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let authority = match text.split_once("://") {
            Some(("tcp", authority)) => authority.strip_suffix('/').unwrap_or(authority),
            Some(_) => return Err(AddressError::new(text, "its scheme is neither tcp nor unix")),
            None => text,
        };
        let Some((host, port)) = authority.rsplit_once(':') else {
            return Err(AddressError::new(text, "it names no port"));
        };
        let Ok(port) = port.parse() else {
            return Err(AddressError::new(text, "its port is no number up to 65535"));
        };
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.contains(':')),
            None => Some(host).filter(|host| !host.contains([':', '/', '@', ' '])),
        };
        match host {
            Some("") => {
                Err(AddressError::new(text, "it names no host; all are `0.0.0.0` or `[::]`"))
            }
            Some(host) => Ok(Self::Tcp { host: host.to_owned(), port }),
            None => Err(AddressError::new(text, "its host is no name and no address")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl AddressError {
    fn new(text: &str, reason: &'static str) -> Self {
        Self { text: text.to_owned(), reason }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, reason } = self;
        write!(f, "`{text}` is no address: {reason}; write `tcp://host:port` or `unix:/path`")
    }
}

impl std::error::Error for AddressError {}
