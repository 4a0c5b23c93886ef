//! `[upstreams.NAME]`.

use std::collections::BTreeMap;

use locum_policy::balance::Balance;
use locum_proxy::upstream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::discover::Discover;
use super::health::Health;
use super::types::Types;
use crate::config::value::{Duration, Endpoint, Scheme};

/// Where calls go: the endpoints of one service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// Its endpoints: `10.0.0.1:7001`, `http://users.internal`, `gob://10.0.0.1:1234`, or
    /// `{ address = "10.0.0.2:7001", weight = 2, zone = "b" }`. A scheme says the protocol, and with `https`,
    /// or `+tls` after any other, that it is spoken over TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) endpoints: Vec<Endpoint>,
    /// Where its endpoints are found, in place of `endpoints`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) discover: Option<Discover>,
    /// What it speaks; default: what the endpoints' URL scheme says, else `http1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<UpstreamProtocol>,
    /// Whom the endpoints are believed to be over TLS; absent: what their URL scheme says, else no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<UpstreamTls>,
    /// `v1` or `v2`: each connection begins with a header of that version of the PROXY protocol, which names the
    /// client. Such a connection is for one call, so none is kept for the next. For `http1` and `tcp` alone. Absent:
    /// none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Which endpoint the next attempt takes: `round-robin` (the default), `weighted`, `random`,
    /// `least-request`, `peak-ewma`, `hash:header:NAME`, `hash:client-ip` or `sticky:COOKIE`.
    #[serde(default)]
    pub(crate) balance: Balance,
    /// The share of its endpoints, from 0 to 1, that may be left out at once because their breakers are
    /// open; rounded down. When there are more all are used, and these breakers do not refuse. Default
    /// 0.5: the rest would have to carry twice their load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_ejected: Option<f64>,
    /// How long an endpoint that is new, up again, or taken back in, takes to get its full share of the
    /// load, which grows from a tenth. Default: it has it at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slow_start: Option<Duration>,
    /// The upstream that calls go to while no endpoint of this one may be used, because all are down, taken
    /// out, or have open breakers, or while the route's policy has an open breaker of the whole upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failover: Option<String>,
    /// How endpoints are checked; absent: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<Health>,
    /// How connections are kept.
    #[serde(default)]
    pub(crate) pool: Pool,
    /// A policy run for each endpoint, inside the retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint_policy: Option<String>,
    /// Whether an upstream of gob is told of calls that are given up, by a call of `_goRPC_.Cancel`; default
    /// true. Go's own server knows no such method, says so, and no harm is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cancel: Option<bool>,
    /// Types of its methods where JSON has to become gob and cannot tell, such as a float that looks like an
    /// int: `{ "Arith.Scale" = { By = "float" } }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: Types,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; over TLS it has to be agreed on, without it is spoken from the first byte.
    #[serde(rename = "h2")]
    Http2,
    /// HTTP/2 where the handshake of TLS agrees on it, else HTTP/1.1.
    Auto,
    /// gRPC, over HTTP/2 as `h2` has it.
    Grpc,
    /// Go's net/rpc over gob.
    Gob,
    /// The same after a `CONNECT`, as Go's `rpc.HandleHTTP` serves it.
    GobHttp,
    /// JSON-RPC 1.0, Go's net/rpc/jsonrpc.
    JsonRpc,
    /// JSON-RPC 2.0.
    JsonRpc2,
    /// Locum's own.
    Native,
    /// Anything: connections are carried as they are.
    Tcp,
}

impl UpstreamProtocol {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        upstream::Protocol::from(self).name()
    }

    /// Whether it carries remote calls, and no requests of HTTP.
    pub(crate) fn is_rpc(self) -> bool {
        upstream::Protocol::from(self).rpc().is_some()
    }
}

impl From<UpstreamProtocol> for upstream::Protocol {
    fn from(protocol: UpstreamProtocol) -> Self {
        match protocol {
            UpstreamProtocol::Http1 => Self::Http1,
            UpstreamProtocol::Http2 => Self::Http2,
            UpstreamProtocol::Auto => Self::Auto,
            UpstreamProtocol::Grpc => Self::Grpc,
            UpstreamProtocol::Gob => Self::Gob,
            UpstreamProtocol::GobHttp => Self::GobHttp,
            UpstreamProtocol::JsonRpc => Self::JsonRpc,
            UpstreamProtocol::JsonRpc2 => Self::JsonRpc2,
            UpstreamProtocol::Native => Self::Native,
            UpstreamProtocol::Tcp => Self::Tcp,
        }
    }
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}

impl Upstream {
    /// What it speaks: as it says, as its endpoints say, or HTTP/1.1.
    pub(crate) fn speaks(&self) -> UpstreamProtocol {
        let scheme = || self.schemes().next().map(|(_, scheme)| scheme.protocol);
        self.protocol.or_else(scheme).unwrap_or(UpstreamProtocol::Http1)
    }

    /// Whether it is spoken over TLS.
    pub(crate) fn is_over_tls(&self) -> bool {
        self.tls.is_some() || self.schemes().any(|(_, scheme)| scheme.tls)
    }

    /// The schemes of the endpoints that have one, with the endpoints' places.
    pub(crate) fn schemes(&self) -> impl Iterator<Item = (usize, Scheme)> {
        let endpoints = self.endpoints.iter().enumerate();
        endpoints.filter_map(|(index, endpoint)| Some((index, endpoint.address.scheme()?)))
    }
}

/// Whom the endpoints of an upstream are believed to be, and who calls them. Files are named relative to the
/// one that names them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamTls {
    /// The name that their certificates are for; default the host of each endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
    /// A PEM file of the authorities that are believed; default those that the system believes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// A PEM file of the certificate that is shown to those that ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<String>,
    /// A PEM file of its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// How connections to an upstream are kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pool {
    /// Idle connections that one worker keeps to one endpoint. Default 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_per_worker: Option<usize>,
    /// Connections of one worker to one endpoint that carry many calls at once, as HTTP/2 and remote calls have
    /// it. Default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections_per_worker: Option<usize>,
    /// How long an idle connection is kept. Default `50s`: below the 60 s after which common servers
    /// close theirs, so that no call meets a connection that dies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Duration>,
    /// How long a connection may take to be made. Default `1s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect_timeout: Option<Duration>,
    /// How long the body of an answer may make no progress. Default `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_idle: Option<Duration>,
}
