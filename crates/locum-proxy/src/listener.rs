//! Where calls come in: an address, its limits, and whom it believes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use rustls::ServerConfig;

use crate::label::Label;
use crate::plan::Error;
use crate::route::Maintenance;
use crate::tls::{self, Alpn};

pub use sockets::{Given, Handed, Sockets};
pub(crate) use sockets::{Opened, USER_TIMEOUT, keepalive, open};
pub use unix::{SocketFile, listen_unix};

mod sockets;
mod unix;

/// One listener as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub bind: Bind,
    /// What the file of a unix socket is like.
    pub socket: SocketFile,
    /// What its clients speak.
    pub protocol: Protocol,
    /// What it shows of itself over TLS. Its clients have to speak that, but on a listener of
    /// [`Protocol::Auto`] that asks for no certificates: there they may.
    pub tls: Option<tls::ServerSettings>,
    /// Peers whose `X-Forwarded-*`, `Forwarded` and deadlines are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether those of peers on a unix socket are.
    pub trusts_unix: bool,
    /// Whether each connection begins with a header of the PROXY protocol, which names its peer. Only peers in
    /// `trusted_proxies`, and those on a unix socket, may connect then.
    pub proxy_protocol: bool,
    /// Nothing is served to requests of HTTP, and why; `None`: it is.
    pub maintenance: Option<Maintenance>,
    /// What one client, and all of them, may take.
    pub limits: Limits,
}

/// What the clients of a listener speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// Remote calls, in any protocol that carries them; found out for each connection.
    Rpc,
    /// HTTP, remote calls or other bytes, under TLS or not; found out for each connection.
    Auto,
    /// Any bytes, which are carried as they are.
    Tcp,
}

impl Protocol {
    /// Whether requests of HTTP are served.
    pub fn takes_http(self) -> bool {
        matches!(self, Self::Http | Self::Auto)
    }

    /// Whether remote calls are served.
    pub fn takes_rpc(self) -> bool {
        matches!(self, Self::Rpc | Self::Auto)
    }

    /// Whether connections are carried as they are.
    pub fn takes_bytes(self) -> bool {
        matches!(self, Self::Tcp | Self::Auto)
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// A TCP address; port 0 picks one.
    Tcp(SocketAddr),
    /// A unix socket's path; a stale socket file is replaced.
    Unix(PathBuf),
    /// A socket that the process was given, by its name or its number: all of that name.
    Given(String),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Given(called) => write!(f, "fd:{called}"),
        }
    }
}

/// What clients of a listener may take. Every default is safe on an open network.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Connections at once, over all workers; one more is answered 503 and closed.
    pub connections: usize,
    /// Connections at once from one address; `None`: no bound of its own (a load balancer in front is one address).
    pub connections_per_client: Option<usize>,
    /// Bytes of a request's head; beyond: 431 (414 for the target).
    pub header_bytes: usize,
    /// Fields of a head or of a trailer section; beyond: 431.
    pub headers: usize,
    /// From a head's first byte to its last; beyond: 408.
    pub header_timeout: Duration,
    /// Bytes of a request body; `None`: unlimited; beyond: 413.
    pub body_bytes: Option<u64>,
    /// Between two reads of a request body; beyond: 408.
    pub body_idle: Duration,
    /// Bytes per second that a request body must keep up on average after its first five seconds; 0: no floor.
    pub body_rate: u64,
    /// How long a write to the client may make no progress; beyond: the connection is closed.
    pub write_stall: Duration,
    /// How long a kept connection may stay without a request.
    pub idle: Duration,
    /// Requests of one connection, after which it is closed; 0: no bound.
    pub requests_per_connection: u64,
    /// Bytes of one message of a remote call; beyond: an error, or the end of the connection.
    pub message_bytes: usize,
    /// Remote calls of one connection that are under way at once; more wait unread.
    pub calls_per_connection: usize,
    /// What one connection of HTTP/2 may take beside.
    pub http2: Http2Limits,
}

/// What one connection of HTTP/2 may take. Beyond any of these but `streams` the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams at once; one more is refused, and may be tried again.
    pub streams: u32,
    /// Bytes of content on their way on one stream that were not passed on yet.
    pub stream_window: u32,
    /// The same of all streams together.
    pub connection_window: u32,
    /// Bytes of one frame.
    pub frame_bytes: u32,
    /// Bytes of the table by which heads are compressed.
    pub header_table: usize,
    /// Frames of one head, empty ones included.
    pub header_frames: u32,
    /// Answers to SETTINGS, PING and streams at fault that wait to be written.
    pub control_frames: u32,
    /// Bytes of heads and of what waits to be written, together.
    pub memory: usize,
    /// DATA frames one after the other that are empty.
    pub empty_frames: u32,
    /// Streams that were reset for what the client did wrong.
    pub mistakes: u32,
    /// From our settings to their acknowledgement.
    pub settings_timeout: Duration,
    /// Resets a second that the client may go on with; twice as many may come at once.
    pub resets: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: 64 << 10,
            connection_window: 1 << 20,
            frame_bytes: 16 << 10,
            header_table: 4 << 10,
            header_frames: 8,
            control_frames: 1000,
            memory: 1 << 20,
            empty_frames: 100,
            mistakes: 100,
            settings_timeout: Duration::from_secs(10),
            resets: 100,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: None,
            header_bytes: 32 * 1024,
            headers: 100,
            header_timeout: Duration::from_secs(10),
            body_bytes: None,
            body_idle: Duration::from_secs(30),
            body_rate: 240,
            write_stall: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            requests_per_connection: 0,
            message_bytes: 16 << 20,
            calls_per_connection: 16 * 1024,
            http2: Http2Limits::default(),
        }
    }
}

impl Settings {
    /// HTTP in the clear, from anybody, none of whom is believed, within the limits that are safe on an open network.
    pub fn new(name: &str, bind: Bind) -> Self {
        Self {
            name: name.to_owned(),
            bind,
            socket: SocketFile::default(),
            protocol: Protocol::Http,
            tls: None,
            trusted_proxies: Vec::new(),
            trusts_unix: false,
            proxy_protocol: false,
            maintenance: None,
            limits: Limits::default(),
        }
    }

    fn alpn(&self) -> Alpn {
        if self.protocol.takes_http() { Alpn::Http } else { Alpn::None }
    }
}

/// A listener of a running plan.
pub struct Listener {
    /// What it was built from.
    pub settings: Settings,
    pub(crate) label: Label,
    /// What its clients' handshakes are answered with.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Shared by every plan that has a listener of this name on this address.
    pub(crate) census: Arc<Census>,
}

/// Who is connected, over all workers.
#[derive(Default)]
pub(crate) struct Census {
    open: AtomicUsize,
    by_client: std::sync::Mutex<rustc_hash::FxHashMap<IpAddr, usize>>,
}

impl Listener {
    pub(crate) fn build(
        settings: &Settings,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        let previous = previous.filter(|previous| previous.settings.bind == settings.bind);
        if let Some(kept) = previous.filter(|previous| previous.settings == *settings) {
            return Ok(Arc::clone(kept));
        }
        // Kept as long as it may be: with it go the tickets that clients come back with.
        let kept = previous.filter(|previous| {
            previous.settings.tls == settings.tls && previous.settings.alpn() == settings.alpn()
        });
        let tls = match (&settings.tls, kept) {
            (_, Some(kept)) => kept.tls.clone(),
            (None, None) => None,
            (Some(tls), None) => {
                Some(tls.build(settings.alpn(), &format!("listeners.{}.tls", settings.name))?)
            }
        };
        Ok(Arc::new(Self {
            settings: settings.clone(),
            label: Label::of(&settings.name),
            tls,
            census: previous.map(|previous| Arc::clone(&previous.census)).unwrap_or_default(),
        }))
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.census.open.load(Ordering::Relaxed)
    }

    /// Whether clients may speak TLS or not, as they like. Where they have to show a certificate, all speak it.
    pub(crate) fn takes_plain(&self) -> bool {
        let Settings { protocol, tls, .. } = &self.settings;
        *protocol == Protocol::Auto && tls.as_ref().is_none_or(|tls| tls.client_ca.is_none())
    }

    /// Whether what `peer` says of the client before it is believed; `None`: it is on a unix socket.
    pub(crate) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        let Settings { trusted_proxies, trusts_unix, .. } = &self.settings;
        match peer {
            None => *trusts_unix,
            Some(_) if trusted_proxies.is_empty() => false,
            Some(peer) => trusted_proxies.iter().any(|net| net.contains(&peer.to_canonical())),
        }
    }

    /// Whether `peer` may connect: where connections are carried for others, only who is believed may.
    pub(crate) fn takes_from(&self, peer: Option<IpAddr>) -> bool {
        !self.settings.proxy_protocol || peer.is_none() || self.trusts(peer)
    }

    /// Whether a client may understand an answer of HTTP before it has said anything.
    pub(crate) fn speaks_http_first(&self) -> bool {
        self.tls.is_none() && self.settings.protocol != Protocol::Tcp
    }

    /// Counts a connection in, if there is room for it. Where its client is not known yet, who that is has to be
    /// told to [`Seat::is_for`].
    pub(crate) fn admit(&self, peer: Option<IpAddr>) -> Option<Seat> {
        let limits = &self.settings.limits;
        let open = self.census.open.fetch_add(1, Ordering::Relaxed);
        let mut seat = Seat { census: Arc::clone(&self.census), client: None };
        if open >= limits.connections {
            return None;
        }
        let client = peer.filter(|_| !self.settings.proxy_protocol);
        client.is_none_or(|client| seat.is_for(client, limits)).then_some(seat)
    }
}

/// A connection's place in the census; dropping it counts the connection out.
pub(crate) struct Seat {
    census: Arc<Census>,
    client: Option<IpAddr>,
}

impl Seat {
    /// Counts the connection as one of `client`, if there is room for one more of these.
    pub(crate) fn is_for(&mut self, client: IpAddr, limits: &Limits) -> bool {
        let Some(most) = limits.connections_per_client else { return true };
        let mut by_client = lock(&self.census.by_client);
        let count = by_client.entry(client).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        self.client = Some(client);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.census.open.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        let mut by_client = lock(&self.census.by_client);
        if let Some(count) = by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&client);
            }
        }
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
