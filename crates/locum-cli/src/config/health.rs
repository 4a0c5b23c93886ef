//! How endpoints are checked: what that has to hold, and its defaults.

use std::time::Duration;

use locum_proxy::upstream::health::{Probe, Settings};

use super::fields::is_field_value;
use super::file::{Health, HealthKind, Upstream, UpstreamProtocol};
use super::findings::Findings;
use super::traffic::Traffic;
use super::value::Statuses;

pub(super) fn check(path: &str, health: &Health, upstream: &Upstream, findings: &mut Findings<'_>) {
    let speaks = upstream.speaks();
    let kind = kind(health, speaks);
    // Go's `rpc.HandleHTTP` stands beside whatever else its server answers.
    let answers = match speaks {
        UpstreamProtocol::GobHttp => true,
        speaks => speaks.carries() == Traffic::Http,
    };
    if kind == HealthKind::Http && !answers {
        let reason = format!("an upstream that speaks {} answers no GET", speaks.name());
        findings.error(&format!("{path}.kind"), reason, "write \"tcp\", or leave it out");
    }
    let http2 =
        matches!(speaks, UpstreamProtocol::Grpc | UpstreamProtocol::Http2 | UpstreamProtocol::Auto);
    if kind == HealthKind::Grpc && !http2 {
        let reason = format!("an upstream that speaks {} knows nothing of gRPC", speaks.name());
        let remedy = "write `protocol = \"grpc\"` or \"h2\", or another kind";
        findings.error(&format!("{path}.kind"), reason, remedy);
    }
    match (&health.path, kind) {
        (None, HealthKind::Http) => {
            let reason = "what to ask for is missing";
            findings.error_in_key(path, reason, "add `path = \"/healthz\"`, or `kind = \"tcp\"`");
        }
        (Some(asked), HealthKind::Http) if !is_target(asked) => {
            let reason = format!("`{}` cannot be asked for", asked.escape_debug());
            findings.error(&format!("{path}.path"), reason, "write a path such as \"/healthz\"");
        }
        _ => {}
    }
    if health.host.as_deref().is_some_and(|host| host.is_empty() || !is_field_value(host)) {
        let reason = "it is no value of a Host field";
        findings.error(&format!("{path}.host"), reason, "write a name such as \"users.internal\"");
    }
    for (key, of, given) in [
        ("path", HealthKind::Http, health.path.is_some()),
        ("host", HealthKind::Http, health.host.is_some()),
        ("status", HealthKind::Http, health.status.is_some()),
        ("service", HealthKind::Grpc, health.service.is_some()),
    ] {
        if given && kind != of {
            let reason = format!("it has no effect on a check by {}", kind.name());
            let remedy = format!("remove it, or write `kind = \"{}\"`", of.name());
            findings.warning(&format!("{path}.{key}"), reason, remedy);
        }
    }
    for (key, time) in [("every", health.every), ("timeout", health.timeout)] {
        findings.positive(&format!("{path}.{key}"), time);
    }
    for (key, count) in [("healthy", health.healthy), ("unhealthy", health.unhealthy)] {
        if count == Some(0) {
            let reason = "0 checks would say nothing";
            findings.error(&format!("{path}.{key}"), reason, "write 1 or more, or leave it out");
        }
    }
}

/// With its defaults.
pub(super) fn resolve(health: &Health, speaks: UpstreamProtocol) -> Settings {
    let probe = match kind(health, speaks) {
        HealthKind::Tcp => Probe::Tcp,
        HealthKind::Grpc => Probe::Grpc { service: health.service.clone().unwrap_or_default() },
        HealthKind::Http => Probe::Http {
            path: health.path.clone().unwrap_or_default(),
            host: health.host.clone(),
            status: match &health.status {
                Some(Statuses(ranges)) => ranges.clone(),
                None => vec![200..=399],
            },
        },
    };
    Settings {
        probe,
        every: health.every.map_or(EVERY, |time| time.0),
        timeout: health.timeout.map_or(TIMEOUT, |time| time.0),
        healthy: health.healthy.unwrap_or(HEALTHY),
        unhealthy: health.unhealthy.unwrap_or(UNHEALTHY),
    }
}

fn kind(health: &Health, speaks: UpstreamProtocol) -> HealthKind {
    // Servers of gRPC answer no GET.
    let usual = match speaks.carries() == Traffic::Http && speaks != UpstreamProtocol::Grpc {
        true => HealthKind::Http,
        false => HealthKind::Tcp,
    };
    health.kind.unwrap_or(usual)
}

/// A path, and perhaps a query (RFC 9112 §3.2.1).
fn is_target(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// An endpoint that has died is out after four to six seconds, and one that has stumbled once is not.
const EVERY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_millis(500);
const HEALTHY: u32 = 2;
const UNHEALTHY: u32 = 3;
