//! Exactly what may be written in a configuration file.
//!
//! The comments are the reference: `locum schema` prints them. Nothing here is resolved or checked
//! beyond its form; that is [`check`](super::check)'s and the plan's part.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{Address, Bind, Duration, Secret, Workers};

pub(crate) use auth::{Auth, AuthKind};
pub(crate) use discover::Discover;
pub(crate) use health::{Health, HealthKind};
pub(crate) use listener::{
    Http2Limits, Limits, Listener, ListenerProtocol, ListenerTls, TlsVersion,
};
pub(crate) use route::{
    Compression, Cors, Files, HeaderEdits, Match, Mirror, Respond, Rewrite, Route, Share, Transcode,
};
pub(crate) use telemetry::{Otlp, Telemetry};
pub(crate) use types::{Args, Type, Types};
pub(crate) use upstream::{Pool, ProxyProtocol, Upstream, UpstreamProtocol, UpstreamTls};

mod auth;
mod discover;
mod health;
mod listener;
mod route;
mod telemetry;
pub(crate) mod types;
mod upstream;

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
    /// Whom traces are told; absent: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) telemetry: Option<Telemetry>,
    /// Where calls come in, by name.
    pub(crate) listeners: BTreeMap<String, Listener>,
    /// Where calls go, by name.
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    /// How calls are tried, by name.
    pub(crate) policies: BTreeMap<String, locum_policy::settings::Settings>,
    /// How callers show who they are, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) auth: BTreeMap<String, Auth>,
    /// Which call goes where. Most specific host first, then exact path, template, longest prefix,
    /// regular expression, then the order of the file. For remote calls: the method, then the service, then `*`.
    pub(crate) routes: Vec<Route>,
}

impl File {
    /// Whether that listener takes remote calls.
    pub(crate) fn takes_calls(&self, listener: &str) -> bool {
        let protocol = self.listeners.get(listener).map(|listener| listener.protocol);
        matches!(protocol, Some(ListenerProtocol::Rpc | ListenerProtocol::Auto))
    }

    /// Whether an endpoint is one of the demo backends.
    pub(crate) fn uses_demo(&self) -> bool {
        let mut endpoints = self.upstreams.values().flat_map(|upstream| &upstream.endpoints);
        endpoints.any(|endpoint| matches!(endpoint.address, Address::Demo(_) | Address::DemoRpc(_)))
    }
}

/// The admin API and the metrics.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Where it listens: `127.0.0.1:9900`, `unix:/run/locum.sock` (mode 0600), or `fd:admin`, as of a
    /// listener. Any address but loopback needs a `token` or a `token_file`.
    pub(crate) listen: Bind,
    /// What every change has to bring as `Authorization: Bearer …`. `${NAME}` reads an environment
    /// variable, `file:/path` a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    /// In place of `token`, a file that holds it, relative to this one. The first start makes it, for this
    /// user only (mode 0600), with a token drawn at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<String>,
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
    /// Where this instance stands. Calls stay with the endpoints of the same `zone`, as long as five of
    /// seven of them may be used; with fewer a part of them goes to other zones. Absent: zones say nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
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
    /// Where the access log goes, one line a call: `stdout`, or a file's path; absent: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<String>,
    /// How its lines are written: `json` (the default), `common`, `combined`, or a template such as
    /// `{client} "{request}" {status} {took}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_format: Option<String>,
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
