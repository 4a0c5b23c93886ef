//! `discover` of `[upstreams.NAME]`.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::value::Duration;

/// Where endpoints are found, in place of a list: exactly one of `dns`, `srv` and `file`. What was found
/// stays until something else is found.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Discover {
    /// Every address of this host is an endpoint: `users.internal:7001`. Those of IPv6 are used if there are
    /// none of IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dns: Option<String>,
    /// Every target of these SRV records is an endpoint: `_http._tcp.users.internal`. Of several priorities
    /// the lowest counts; `balance = "weighted"` and others use the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) srv: Option<String>,
    /// A file with a JSON array of endpoints, each written as in `endpoints`, but without a scheme. It is
    /// read again when it changes. Relative to the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// How long after a look-up the next comes; sooner, though not within a second, if what was found holds
    /// for less. Default `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<Duration>,
    /// The name server that is asked; default those of /etc/resolv.conf.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) resolver: Option<SocketAddr>,
}
