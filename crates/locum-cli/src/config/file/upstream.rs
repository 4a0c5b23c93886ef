//! `[upstreams.NAME]`.

use locum_policy::balance::Balance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::value::{Duration, Endpoint};

/// Where calls go: the endpoints of one service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// Its endpoints: `10.0.0.1:7001`, `http://users.internal`, or
    /// `{ address = "10.0.0.2:7001", weight = 2, zone = "b" }`.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What it speaks; default: what the endpoints' URL scheme says, else `http1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<UpstreamProtocol>,
    /// Which endpoint the next attempt takes: `round-robin` (the default), `weighted`, `random`,
    /// `least-request`, `peak-ewma`, `hash:header:NAME`, `hash:client-ip` or `sticky:COOKIE`.
    #[serde(default)]
    pub(crate) balance: Balance,
    /// The share of its endpoints, from 0 to 1, that may be left out at once because their breakers are
    /// open; rounded down. When there are more all are used, and these breakers do not refuse. Default
    /// 0.5: the rest would have to carry twice their load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_ejected: Option<f64>,
    /// How connections are kept.
    #[serde(default)]
    pub(crate) pool: Pool,
    /// A policy run for each endpoint, inside the retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint_policy: Option<String>,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
}

/// How connections to an upstream are kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pool {
    /// Idle connections that one worker keeps to one endpoint. Default 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_per_worker: Option<usize>,
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
