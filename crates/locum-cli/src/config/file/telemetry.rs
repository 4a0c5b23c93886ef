//! `[telemetry]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::value::Secret;

/// Whom traces are told. A call that belongs to a trace is told of if its caller says so (`traceparent`); where it begins
/// one, `ratio` says. Either way its attempts say to their endpoints to which trace they belong. A change needs a
/// restart.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// The collector of OpenTelemetry: `http://127.0.0.1:4317`, or `https://…`. Over HTTP the path is `/v1/traces` where
    /// none is written.
    pub(crate) otlp: String,
    /// How it is told. Default `http` where the URL has a path or the port 4318, else `grpc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<Otlp>,
    /// A file in PEM with the authorities that it is believed by; default those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// What every request to it carries: `{ x-api-key = "${KEY}" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, Secret>,
    /// The share of the traces that begin here which is told, from 0 to 1. Default 1, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// As which service; default `locum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
}

/// How a collector is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Otlp {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP, in protobuf.
    Http,
}
