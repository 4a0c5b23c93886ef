//! `health` of `[upstreams.NAME]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::value::{Duration, Statuses};

/// How endpoints are checked. Each is asked by itself, once for the process. It is thought to work until
/// checks say otherwise, and gets no calls from then on until they say that it does.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Health {
    /// What an endpoint is asked: `http`, a GET; `grpc`, `grpc.health.v1.Health/Check`, over HTTP/2; `tcp`, whether it
    /// takes a connection (over TLS, whether the handshake succeeds). Default `tcp` for an upstream of remote calls
    /// or gRPC, else `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<HealthKind>,
    /// What `http` asks for: `/healthz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// The `Host` that `http` sends; default the endpoint as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// Statuses that are good: `200`, `200-299, 404`. Default `200-399`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Statuses>,
    /// Of which service `grpc` asks: `users.v1.Users`; default of the server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// From the start of one check to the next, give or take a tenth. Default `2s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<Duration>,
    /// How long a check may take, from the connection to the answer. Default `500ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Duration>,
    /// So many good checks in a row bring an endpoint back. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthy: Option<u32>,
    /// So many bad ones in a row take it out. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unhealthy: Option<u32>,
}

/// What an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HealthKind {
    /// A GET.
    Http,
    /// Whether a service of gRPC is served.
    Grpc,
    /// Whether it takes a connection.
    Tcp,
}

impl HealthKind {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}
