//! What `[telemetry]` has to hold, and what it says to the proxy.

use locum_proxy::outgoing::Url;
use locum_proxy::telemetry::{Protocol, Settings};

use super::attached::Attachments;
use super::fields::is_token;
use super::file::{Otlp, Telemetry};
use super::findings::Findings;

pub(super) fn check(telemetry: &Telemetry, findings: &mut Findings<'_>) {
    match Url::parse(&telemetry.otlp) {
        Err(_) => {
            let remedy = "write a URL such as \"http://127.0.0.1:4317\"";
            findings.error("telemetry.otlp", "it is no URL of a collector", remedy);
        }
        Ok(url) if !url.is_private() && !telemetry.headers.is_empty() => {
            let reason = "its `headers` would be sent where everybody on the way can read them";
            findings.error("telemetry.otlp", reason, "write `https://…`");
        }
        Ok(url) => {
            if telemetry.ca.is_some() && !url.secure {
                let reason = "it has no effect without TLS";
                findings.warning("telemetry.ca", reason, "remove it, or write `https://…`");
            }
        }
    }
    for (name, value) in &telemetry.headers {
        let path = format!("telemetry.headers.{name}");
        let ours = OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
        if !is_token(name) || ours {
            let reason = format!("`{}` is not to be set", name.escape_debug());
            findings.error_in_key(&path, reason, "write a name such as `x-api-key`");
        }
        if let Err((reason, remedy)) = value.resolve() {
            findings.error(&path, reason, remedy);
        }
    }
    if telemetry.ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
        let remedy = "write one from 0 (none) to 1 (all)";
        findings.error("telemetry.ratio", "it is not a share", remedy);
    }
    if telemetry.service.as_ref().is_some_and(|name| name.is_empty() || name.len() > LONGEST) {
        let reason = "a service is known by a name, which is not that long";
        findings.error("telemetry.service", reason, "write one such as \"edge\", or leave it out");
    }
}

/// What the proxy is told of it.
pub(super) fn resolve(telemetry: &Telemetry, attached: &Attachments) -> Settings {
    let mut url = Url::parse(&telemetry.otlp).expect("the check has read it");
    let has_path = url.target != "/";
    let usual = if has_path || url.port == 4318 { Otlp::Http } else { Otlp::Grpc };
    let protocol = match telemetry.protocol.unwrap_or(usual) {
        Otlp::Grpc => Protocol::Grpc,
        Otlp::Http => Protocol::Http,
    };
    if protocol == Protocol::Http && !has_path {
        url.target = "/v1/traces".to_owned();
    }
    let ca = telemetry.ca.as_ref().and_then(|_| attached.get("telemetry.ca"));
    let headers = telemetry.headers.iter();
    let headers = headers
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.resolve().ok()?)));
    Settings {
        url,
        protocol,
        ca: ca.map(|ca| ca.contents().unwrap_or_default().to_vec()),
        headers: headers.collect(),
        ratio: telemetry.ratio.unwrap_or(1.0),
        service: telemetry.service.clone().unwrap_or_else(|| "locum".to_owned()),
    }
}

/// What a request has anyway.
const OURS: &[&str] = &[
    "host",
    "content-type",
    "content-length",
    "content-encoding",
    "connection",
    "te",
    "transfer-encoding",
    "user-agent",
    "upgrade",
    "trailer",
    "expect",
];
const LONGEST: usize = 255;
