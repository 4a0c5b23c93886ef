//! Exactly what may be written in a configuration file.
//!
//! The comments are the reference: `locum schema` prints them. Nothing here is resolved or checked
//! beyond its form; that is [`check`](super::check)'s and the plan's part.

use std::collections::BTreeMap;

use locum_policy::balance::Balance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{Address, Bind, Duration, Endpoint, Net, Secret, Size, SizeLimit, Workers};

/// A configuration of `locum run`: listeners take calls, routes choose where they go, upstreams are
/// where that is, policies say how a call is tried.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// Files read as if they stood here, relative to this one; `*` stands for anything in a file
    /// name. They may hold listeners, upstreams, policies and routes, and sections absent here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) include: Vec<String>,
    /// The admin API and the metrics; absent: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<Admin>,
    /// The process.
    pub(crate) runtime: Runtime,
    /// What is written down.
    pub(crate) log: Log,
    /// Where calls come in, by name.
    pub(crate) listeners: BTreeMap<String, Listener>,
    /// Where calls go, by name.
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    /// How calls are tried, by name.
    pub(crate) policies: BTreeMap<String, locum_policy::settings::Settings>,
    /// Which call goes where. Most specific host first, then exact path, template, longest prefix,
    /// regular expression, then the order of the file.
    pub(crate) routes: Vec<Route>,
}

impl File {
    /// Whether an endpoint is one of the demo backends.
    pub(crate) fn uses_demo(&self) -> bool {
        let mut endpoints = self.upstreams.values().flat_map(|upstream| &upstream.endpoints);
        endpoints.any(|endpoint| matches!(endpoint.address, Address::Demo(_)))
    }
}

/// The admin API and the metrics.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Where it listens: `127.0.0.1:9900` or `unix:/run/locum.sock` (mode 0600). Any address but
    /// loopback needs a `token`.
    pub(crate) listen: Bind,
    /// What every change has to bring as `Authorization: Bearer …`. `${NAME}` reads an environment
    /// variable, `file:/path` a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    /// Names that requests may give as their `Host`, beside addresses and `localhost`. Any other is
    /// refused: it may be a name that somebody else has pointed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<String>,
}

/// The process.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// Threads that carry calls, each with its own listening sockets and upstream connections: a
    /// number, or `auto` for one a core (the default). A change needs a restart.
    pub(crate) workers: Workers,
    /// How long calls in flight may take to end when the process is told to stop; then they are cut
    /// off. Default 30 s: what an orchestrator grants before it kills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<Duration>,
    /// What every random choice follows from: with one worker, the same calls at the same times are
    /// decided the same way again. Absent: a new one for each process. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
}

/// What is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// The least important events written to standard error; default `info`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<Level>,
    /// How they are written; default `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<Format>,
    /// Where the access log goes, one JSON line a call: `stdout`, or a file's path; absent: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<String>,
    /// Where the decision log goes, one JSON line for every decision of a policy, as a simulation
    /// writes it: `stdout`, or a file's path; absent: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decisions: Option<String>,
}

/// How important an event is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Nothing works.
    Error,
    /// Something is wrong.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// How events are written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

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

/// Which call goes where. One of `upstream`, `split` and `redirect` says where.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Route {
    /// Its name in metrics, logs and rejections; default: its path, or `route-N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The one listener it serves; default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<String>,
    /// What a request must be like; default anything.
    #[serde(rename = "match")]
    pub(crate) matches: Match,
    /// The upstream it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream: Option<String>,
    /// Several upstreams, each as often as its weight says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) split: Vec<Share>,
    /// An answer that sends the client elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect: Option<Redirect>,
    /// How its calls are tried; default: once, without any limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// The Host that the upstream sees: `preserve` (the default) for the client's, `upstream` for the
    /// endpoint's address, or a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// What becomes of the path; default nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rewrite: Option<Rewrite>,
    /// Edits of the request's fields, after hop-by-hop fields are gone.
    pub(crate) request_headers: HeaderEdits,
    /// Edits of the answer's fields.
    pub(crate) response_headers: HeaderEdits,
    /// Bytes of a request's body; beyond: 413. Narrows the listener's `body_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_body: Option<Size>,
    /// Of its calls where there is not room for all: 0 is shed first, 3 last. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<u8>,
}

/// What a request must be like; an absent part matches everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Match {
    /// `example.com`, or `*.example.com` for every name below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// `/exact`, `/prefix/*`, `/users/{id}`, or `~` and a regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// One of these methods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) methods: Vec<String>,
    /// Each of these fields with exactly this value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// Each of these query parameters with exactly this value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) query: BTreeMap<String, String>,
}

/// One upstream's part of a route's calls.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// The upstream.
    pub(crate) upstream: String,
    /// How often, beside the others; 0 is never.
    pub(crate) weight: u32,
}

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redirect {
    /// 301, 302, 303, 307 or 308 (the default: for good, and with the same method).
    #[serde(default = "permanently")]
    pub(crate) status: u16,
    /// Where to; `{name}` stands for a part of a template path.
    pub(crate) to: String,
}

fn permanently() -> u16 {
    308
}

/// What becomes of the path: one of the two.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rewrite {
    /// Replaces the prefix of a prefix route; on others it is put before the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    /// Replaces the path; `{name}` stands for a part of a template path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
}

/// Edits of header fields: `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeaderEdits {
    /// Replaces every field of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) set: BTreeMap<String, String>,
    /// Adds a field beside those of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) add: BTreeMap<String, String>,
    /// Removes every field of that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remove: Vec<String>,
}
