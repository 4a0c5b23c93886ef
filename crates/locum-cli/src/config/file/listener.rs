//! `[listeners.NAME]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::value::{Bind, Duration, Maintenance, Mode, Peer, Size, SizeLimit};

/// Where calls come in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// The address: `0.0.0.0:8080`, `[::]:8080`, port 0 for any free one, or `unix:/path`. Or sockets that
    /// systemd opened (`LISTEN_FDS`), by their `FileDescriptorName` or number: `fd:web`, `fd:3`.
    pub(crate) bind: Bind,
    /// What the file of a unix socket is like: who may connect is who may write to it. Default as the umask of the
    /// process leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) socket: Option<SocketFile>,
    /// What it speaks; default `http`.
    #[serde(default)]
    pub(crate) protocol: ListenerProtocol,
    /// How it proves who it is over TLS; absent: its clients speak without. With `protocol = "auto"` they may
    /// speak without all the same, unless there is `client_ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<ListenerTls>,
    /// Peers whose `X-Forwarded-*`, `Forwarded` and deadlines are believed: networks, and `unix` for all that connect to
    /// a unix socket; default none.
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<Peer>,
    /// `accept`: each connection begins with a header of the PROXY protocol, version 1 or 2, by which a proxy in
    /// front names its client: that is the peer from then on, to limits, logs and upstreams. Only peers in
    /// `trusted_proxies`, and those on a unix socket, may connect then. Absent: no such header is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_protocol: Option<Acceptance>,
    /// `true`: requests of HTTP get a 503; or a table of what that says. Absent: they are served.
    #[serde(default, skip_serializing_if = "Maintenance::is_off")]
    pub(crate) maintenance: Maintenance,
    /// What its clients may take.
    #[serde(default)]
    pub(crate) limits: Limits,
}

/// The file of a unix socket.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SocketFile {
    /// Its mode in octal: `0660` for its owner and its group, `0666` for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<Mode>,
    /// Its owner, by name or number. Only root may give files away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Its group, by name or number: one that the process is in, unless it is root's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ListenerProtocol {
    /// HTTP/1.1 and HTTP/2: over TLS as the handshake agrees, without as the client begins.
    #[default]
    Http,
    /// Remote calls: gob, gob after a `CONNECT`, JSON-RPC 1.0 and 2.0, native; each connection shows which.
    Rpc,
    /// HTTP/1.1, HTTP/2 or remote calls; each connection shows which, and with `tls` whether it speaks that: it need not,
    /// unless there is `client_ca`. What is none of these is carried as with `tcp`, where a route is for that.
    Auto,
    /// Any bytes, carried as they are. With `tls` that ends here.
    Tcp,
}

/// Whether a listener reads whom a proxy in front carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Acceptance {
    /// Every connection has to say so.
    Accept,
}

/// How a listener proves who it is, and whether its clients have to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenerTls {
    /// Its certificates. A client that names a server is shown the first that is for that name, any other
    /// the first.
    pub(crate) certificates: Vec<Certificate>,
    /// A PEM file of authorities, one of which has to have signed the certificate of each client; absent:
    /// clients need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<String>,
    /// The oldest version that is spoken: `1.2` (the default) or `1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<TlsVersion>,
}

/// A certificate and its key. Files are named relative to the one that names them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// A PEM file of the certificate, then those that lead to its authority.
    pub(crate) cert: String,
    /// A PEM file of its private key.
    pub(crate) key: String,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// What the clients of a listener may take. Every default is safe on an open network.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections at once; one more is answered 503 and closed. Default 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<usize>,
    /// Connections at once from one address; default no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections_per_client: Option<usize>,
    /// Bytes of a request's head; beyond: 431, or 414 for the target. Default `32KiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header_bytes: Option<Size>,
    /// Fields of a request's head; beyond: 431. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) headers: Option<usize>,
    /// From a head's first byte to its last; beyond: 408. On a port for calls, until it is clear what is spoken
    /// (5 s at most for a `CONNECT`), and how long a message that has begun may bring nothing; beyond: closed.
    /// Default `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header_timeout: Option<Duration>,
    /// Bytes of a request's body; beyond: 413. Default `unlimited`: bodies are never held whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_bytes: Option<SizeLimit>,
    /// Between two reads of a request's body; beyond: 408. Default `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_idle: Option<Duration>,
    /// Bytes a second that a request's body keeps up after its first five seconds; `0` asks for
    /// none. Default `240B`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_rate: Option<Size>,
    /// How long a client may take nothing of its answer; beyond: closed. Default `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) write_stall: Option<Duration>,
    /// How long a connection may stay without a request, or, of connections that are carried as they are, without
    /// a byte either way. Default `60s`; with `protocol = "tcp"` `10min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Duration>,
    /// Requests of one connection, after which it is closed; 0, the default, is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_connection: Option<u64>,
    /// Bytes of one message of a remote call; beyond: an error, or the end of the connection. Default
    /// `16MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_bytes: Option<Size>,
    /// Remote calls of one connection that are under way at once; more wait unread. Default 16384.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) calls_per_connection: Option<usize>,
    /// What one connection of HTTP/2 may take beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http2: Option<Http2Limits>,
}

/// What one connection of HTTP/2 may take. Beyond any of these but `streams` it is closed.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http2Limits {
    /// Streams at once; one more is refused, and may be tried again. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) streams: Option<u32>,
    /// Bytes of content of one stream that were sent and not passed on yet. Default `64KiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream_window: Option<Size>,
    /// The same of all streams together. Default `1MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection_window: Option<Size>,
    /// Bytes of one frame. Default `16KiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) frame_bytes: Option<Size>,
    /// Bytes of the table by which heads are compressed. Default `4KiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header_table: Option<Size>,
    /// Frames of one head, empty ones included. Default 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header_frames: Option<u32>,
    /// Answers to SETTINGS, PING and streams at fault that wait to be written. Default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) control_frames: Option<u32>,
    /// Bytes of heads, and of what waits to be written, together. Default `1MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Size>,
    /// DATA frames one after the other that are empty. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) empty_frames: Option<u32>,
    /// Streams that were reset for what the client did wrong. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mistakes: Option<u32>,
    /// From our settings to their acknowledgement. Default `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) settings_timeout: Option<Duration>,
    /// Resets a second that a client may go on with; twice as many may come at once. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resets: Option<u32>,
}
