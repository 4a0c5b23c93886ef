//! Connections to endpoints, kept between calls.
//!
//! Each worker has its own pool, so taking and giving back needs no lock. The connection used last
//! is taken first: it is the one least likely to have been closed by the other side.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use locum_policy::Time;
use locum_wire::proxy_protocol::Header;
use rustc_hash::FxHashMap;
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};

use super::{Address, Endpoint, PoolSettings};
use crate::buffer::{Buffer, Buffers};
use crate::clock::Alarms;
use crate::http2;
use crate::reserved;
use crate::stream::Stream;
use crate::stream::tls::{HandshakeError, Tls};
use crate::tls::Connector;

/// A connection to an endpoint. It lives in a box: it changes hands several times a call.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// What was read from it and not used yet.
    pub(crate) buffer: Buffer,
    pub(crate) endpoint: Arc<Endpoint>,
    /// Whether it has carried a call before.
    pub(crate) reused: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A stream's connection is counted as one, by whoever made it.
        if !self.stream.is_http2() {
            self.endpoint.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Connection {
    /// A stream of one that carries others as well.
    pub(crate) fn of_stream(
        stream: http2::Stream,
        endpoint: &Arc<Endpoint>,
        reused: bool,
        buffers: &Rc<Buffers>,
    ) -> Box<Self> {
        Box::new(Self {
            stream: Stream::Http2(stream),
            buffer: Buffer::new(buffers),
            endpoint: Arc::clone(endpoint),
            reused,
        })
    }
}

/// The idle connections of one worker.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<FxHashMap<u32, Vec<Idle>>>,
}

struct Idle {
    connection: Box<Connection>,
    expires: Time,
}

impl Pool {
    pub(crate) fn new() -> Rc<Self> {
        Rc::default()
    }

    /// An idle connection to `endpoint` that its peer has not closed, nor said anything on: an answer that nobody asked
    /// for must never be taken for the next call's.
    pub(crate) fn take(&self, endpoint: &Endpoint) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&endpoint.uid)?;
        // The runtime knows already whether anything arrived, so this costs no system call.
        std::iter::from_fn(|| kept.pop())
            .map(|idle| idle.connection)
            .find_map(|mut connection| connection.stream.is_quiet().then_some(connection))
    }

    /// Keeps a connection that has nothing left to read.
    pub(crate) fn give(&self, mut connection: Box<Connection>, settings: &PoolSettings, now: Time) {
        debug_assert!(connection.buffer.is_empty());
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry(connection.endpoint.uid).or_default();
        let idle = match kept.len() {
            few if few < settings.idle_per_worker => settings.idle,
            many if many < settings.idle_per_worker * BURST => MOMENT,
            _ => return,
        };
        connection.buffer.shrink();
        connection.reused = true;
        kept.push(Idle { connection, expires: now + idle });
    }

    /// Closes what has been idle for too long, what the other side has closed, and what leads to where no
    /// more calls go.
    pub(crate) fn sweep(&self, now: Time) {
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|idle| {
                let connection = &mut idle.connection;
                idle.expires > now
                    && !connection.endpoint.is_retired()
                    && connection.stream.is_quiet()
            });
            !kept.is_empty()
        });
    }
}

/// Calls come in bursts: what was in use together a moment ago will be again, or nearly. So many times more than may be
/// idle for long are kept for so long.
const BURST: usize = 8;
const MOMENT: Duration = Duration::from_secs(1);

/// Why no connection could be made.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Nobody listens, the network says no, or we have no descriptor left.
    Failed(io::Error),
    /// The connection stands, but there is no TLS on it.
    Handshake(HandshakeError),
    /// It took longer than it may.
    TimedOut,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "cannot connect: {error}"),
            Self::Handshake(error) => write!(f, "no TLS: {error}"),
            Self::TimedOut => f.write_str("connecting took too long"),
        }
    }
}

/// Makes a connection to `endpoint`, for the pool, or for a client alone where the endpoint is told `whose` it is.
///
/// # Cancel safety
///
/// Dropping the future closes the half-made connection.
pub(crate) async fn connect(
    endpoint: &Arc<Endpoint>,
    whose: &Header,
    timeout: Duration,
    buffers: &Rc<Buffers>,
    alarms: &Rc<Alarms>,
) -> Result<Box<Connection>, ConnectError> {
    let stream = dial(endpoint, whose, timeout, buffers, alarms).await?;
    endpoint.open.fetch_add(1, Ordering::Relaxed);
    Ok(Box::new(Connection {
        stream,
        buffer: Buffer::new(buffers),
        endpoint: Arc::clone(endpoint),
        reused: false,
    }))
}

/// Connects to `endpoint`, as it is to be spoken to, within `timeout`. `whose` the connection is it is told where it
/// wants to know.
///
/// # Cancel safety
///
/// Dropping the future closes the half-made connection.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    whose: &Header,
    timeout: Duration,
    buffers: &Rc<Buffers>,
    alarms: &Rc<Alarms>,
) -> Result<Stream, ConnectError> {
    let mut first = Vec::new();
    if let Some(version) = endpoint.proxy_protocol {
        version.write(whose, &mut first);
    }
    dial_to(&endpoint.address, &first, endpoint.tls.as_ref(), timeout, buffers, alarms).await
}

/// Connects to `address`, under TLS if `tls` says how, within `timeout`. `first` is what is said before anything
/// else.
///
/// # Cancel safety
///
/// Dropping the future closes the half-made connection.
pub(crate) async fn dial_to(
    address: &Address,
    first: &[u8],
    tls: Option<&Connector>,
    timeout: Duration,
    buffers: &Rc<Buffers>,
    alarms: &Rc<Alarms>,
) -> Result<Stream, ConnectError> {
    let alarm = alarms.alarm();
    alarm.arm_in(timeout);
    let mut connecting = pin!(reach(address));
    let mut stream = poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(connected) => Poll::Ready(connected.map_err(ConnectError::Failed)),
        Poll::Pending => alarm.poll(cx).map(|()| Err(ConnectError::TimedOut)),
    })
    .await?;
    if !first.is_empty() {
        // It is short, and the first: the socket has room for it.
        let sent = poll_fn(|cx| stream.poll_send(cx, first)).await;
        match sent.map_err(ConnectError::Failed)? {
            count if count == first.len() => {}
            _ => return Err(ConnectError::Failed(io::ErrorKind::WriteZero.into())),
        }
    }
    let Some(Connector { config, name }) = tls else { return Ok(stream) };
    let mut stream = Tls::dialled(stream, config, name.clone(), buffers)
        .map_err(|error| ConnectError::Handshake(HandshakeError::Refused(error)))?;
    poll_fn(|cx| match stream.poll_handshake(cx) {
        Poll::Ready(shaken) => Poll::Ready(shaken.map_err(ConnectError::Handshake)),
        Poll::Pending => alarm.poll(cx).map(|()| Err(ConnectError::TimedOut)),
    })
    .await?;
    Ok(Stream::Tls(stream))
}

/// Connects to `address`, unless no call may go there.
async fn reach(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            reserved::check(&stream)?;
            // Where an option is refused the connection is about to fail anyway, and the call will say so.
            let _ = stream.set_nodelay(true);
            let socket = SockRef::from(&stream);
            let _ = socket.set_tcp_keepalive(&crate::listener::keepalive());
            let _ = socket.set_tcp_user_timeout(Some(crate::listener::USER_TIMEOUT));
            Ok(Stream::Tcp(stream))
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            reserved::check_unix(&stream)?;
            Ok(Stream::Unix(stream))
        }
    }
}
