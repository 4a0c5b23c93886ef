//! What clients may take, and how long their calls may.

use std::time::Duration;

use locum_wire::rpc;
use tokio::time::Instant;

/// What clients of a server may take. Every default is safe on an open network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one message: its size, how deep it nests, and so on.
    pub message: rpc::Limits,
    /// Connections at once; one more is closed at once.
    pub connections: usize,
    /// Calls being handled at once, of all connections. A handler that is done when it is first polled does
    /// not count.
    pub calls: usize,
    /// The same of one connection.
    pub calls_per_connection: usize,
    /// Bytes of the arguments of the calls being handled of one connection, as they came. Beyond, reading
    /// stops until some are done.
    pub argument_bytes: usize,
    /// Bytes of replies that a client has not taken yet. Beyond, nothing more is read from it.
    pub reply_bytes: usize,
    /// What is done about a call for which there is no room.
    pub when_full: WhenFull,
    /// How long a connection may take to say what it speaks, TLS included. Five seconds at most for the
    /// head of a `CONNECT`.
    pub header_timeout: Duration,
    /// How long a message that has begun may stay without another byte.
    pub message_timeout: Duration,
    /// How long a client may take no bytes while there are some for it.
    pub write_stall: Duration,
    /// How long a connection may be without a call; `None`: as long as it likes, as in Go.
    pub idle: Option<Duration>,
}

/// What is done about a call for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits unread, and whatever comes behind it on its connection: the client feels it by its writes
    /// taking longer.
    Wait,
    /// It is refused at once, as unavailable. The caller may try elsewhere.
    Refuse,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: rpc::Limits::default(),
            connections: 10_000,
            calls: 65_536,
            calls_per_connection: 16_384,
            argument_bytes: 64 << 20,
            reply_bytes: 256 << 10,
            when_full: WhenFull::Wait,
            header_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            idle: None,
        }
    }
}

/// How long calls may take. A handler whose time is over is dropped, and its caller told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Of a call that says nothing, which over net/rpc and JSON-RPC is every call.
    pub default: Duration,
    /// A call that asks for less has this.
    pub min: Duration,
    /// A call that asks for more has this.
    pub max: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let default = Duration::from_secs(10);
        Self { default, min: Duration::ZERO, max: Duration::from_secs(300) }
    }
}

impl Deadlines {
    /// When the time of a call is over that asked for `timeout` and came `now`; `None`: beyond what the clock
    /// can say.
    pub(super) fn of_call(&self, timeout: Option<Duration>, now: Instant) -> Option<Instant> {
        let timeout = timeout.map_or(self.default, |asked| asked.max(self.min).min(self.max));
        now.checked_add(timeout)
    }
}
