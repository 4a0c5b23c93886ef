//! What a connection speaks, found out before anything is done with it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use locum_wire::connect;
use locum_wire::detect::{Detected, detect};
use locum_wire::rpc::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::connection::{Connection, linger};
use super::core::{Core, QUIET, drains};
use super::http;
#[cfg(feature = "tls")]
use super::rewound::Rewound;
use crate::cx;
use crate::transport::{Io, Peer};

/// Serves a connection to its end.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and gives its calls up.
pub(super) async fn serve(core: &Arc<Core>, io: Io, peer: Peer) {
    let mut phases = core.phases();
    let drained = async {
        drains(&mut phases).await;
        // What a client is about to say may be on its way.
        sleep(QUIET).await;
    };
    let opened = tokio::select! {
        opened = timeout(core.limits.header_timeout, open(core, io, &peer)) => opened,
        () = drained => return,
    };
    let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match opened {
        Ok(Opened::Calls(connection)) => connection.serve().await,
        Ok(Opened::Http(connection)) => connection.serve().await,
        Err(error) => {
            core.counts.refused.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%peer, %error, "a connection came to nothing");
        }
    }
}

/// What a connection turned out to be.
enum Opened {
    Calls(Box<Connection>),
    Http(Box<http::Connection>),
}

/// Reads until it is clear what the client speaks.
async fn open(core: &Arc<Core>, mut io: Io, peer: &Peer) -> io::Result<Opened> {
    let mut first = Vec::with_capacity(FIRST);
    let detected = read_first(&mut io, &mut first).await?;
    #[cfg(feature = "tls")]
    let (mut io, identity, detected) = secure(core, io, peer, &mut first, detected).await?;
    #[cfg(not(feature = "tls"))]
    let identity = None;
    let who = cx::Peer { address: peer.address(), identity };
    let protocol = match detected {
        Detected::Gob => Protocol::Gob,
        Detected::Json => Protocol::Json2,
        Detected::Native => Protocol::Native,
        Detected::Http if first.starts_with(b"CONNECT ") => {
            let head = timeout(CONNECT, take_connect(&mut io, &mut first)).await;
            head.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            Protocol::Gob
        }
        Detected::Http => {
            return Ok(Opened::Http(Box::new(http::Connection::new(core, io, who, first))));
        }
        Detected::Tls | Detected::Other => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "nothing known is spoken"));
        }
    };
    Ok(Opened::Calls(Box::new(Connection::new(core, io, protocol, who, first))))
}

/// Takes TLS off a connection that begins with it, where the server has a certificate; tells who the client
/// has proved to be, and what is spoken inside.
#[cfg(feature = "tls")]
async fn secure(
    core: &Core,
    io: Io,
    peer: &Peer,
    first: &mut Vec<u8>,
    detected: Detected,
) -> io::Result<(Io, Option<String>, Detected)> {
    let Some(tls) = &core.tls else { return Ok((io, None, detected)) };
    if detected != Detected::Tls {
        return if peer.address().is_some() && !tls.takes_plain() {
            Err(io::Error::new(io::ErrorKind::InvalidData, "this is not TLS"))
        } else {
            Ok((io, None, detected))
        };
    }
    let rewound = Rewound::new(std::mem::take(first), io);
    let mut io = tls.accept(Io::Other(Box::new(rewound))).await?;
    let identity = crate::transport::tls::identity(&io);
    let detected = read_first(&mut io, first).await?;
    Ok((io, identity, detected))
}

/// Reads until the first bytes tell.
async fn read_first(io: &mut Io, first: &mut Vec<u8>) -> io::Result<Detected> {
    loop {
        // A few hundred bytes always tell, so what is gathered here stays small.
        if let Some(detected) = detect(first) {
            return Ok(detected);
        }
        read_more(io, first).await?;
    }
}

/// Answers the head with which Go's net/rpc begins over HTTP, and leaves what came behind it in `first`.
async fn take_connect(io: &mut Io, first: &mut Vec<u8>) -> io::Result<()> {
    let mut request = connect::Request::default();
    loop {
        match request.read(first) {
            Ok(Some(length)) => {
                first.drain(..length);
                io.write_all(connect::ACCEPTED).await?;
                return io.flush().await;
            }
            Ok(None) => read_more(io, first).await?,
            Err(refused) => {
                io.write_all(refused.response()).await?;
                // What came behind the head is unread, and would cost the client the answer.
                linger(io).await?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, refused));
            }
        }
    }
}

pub(super) async fn read_more(io: &mut Io, into: &mut Vec<u8>) -> io::Result<()> {
    match io.read_buf(into).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Room for the first bytes.
const FIRST: usize = 1 << 10;

/// How long the head of a `CONNECT` may take.
const CONNECT: Duration = Duration::from_secs(5);
