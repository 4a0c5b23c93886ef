//! `[listeners.NAME]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::value::{Bind, Duration, Net, Size, SizeLimit};

/// Where calls come in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// The address: `0.0.0.0:8080`, `[::]:8080`, port 0 for any free one, or `unix:/path`.
    pub(crate) bind: Bind,
    /// What it speaks; default `http`.
    #[serde(default)]
    pub(crate) protocol: ListenerProtocol,
    /// Peers whose `X-Forwarded-*`, `Forwarded` and deadlines are believed; default none.
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<Net>,
    /// What its clients may take.
    #[serde(default)]
    pub(crate) limits: Limits,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ListenerProtocol {
    /// HTTP/1.1.
    #[default]
    Http,
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
    /// From a head's first byte to its last; beyond: 408. Default `10s`.
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
    /// How long a connection may stay without a request. Default `60s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Duration>,
    /// Requests of one connection, after which it is closed; 0, the default, is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_connection: Option<u64>,
}
