//! What upstreams have to hold: endpoints that speak one protocol, and nothing that it does not know.

use locum_policy::balance::{Balance, Ejection};

use super::attached::Attachments;
use super::file::{File, Pool, Upstream, UpstreamProtocol, UpstreamTls};
use super::findings::Findings;
use super::traffic::Traffic;
use super::value::{Address, Endpoint, host_and_port};
use super::{discover, endpoints, health, types};

pub(super) fn check(file: &File, attached: &Attachments, findings: &mut Findings<'_>) {
    for (name, upstream) in &file.upstreams {
        check_upstream(name, upstream, file, attached, findings);
    }
}

fn check_upstream(
    name: &str,
    upstream: &Upstream,
    file: &File,
    attached: &Attachments,
    findings: &mut Findings<'_>,
) {
    let path = format!("upstreams.{name}");
    findings.name(&path, name);
    discover::check(&path, upstream, attached, findings);
    endpoints::check(&upstream.endpoints, findings, |index| format!("{path}.endpoints.{index}"));
    check_protocol(&path, upstream, findings);
    if let Some(health) = &upstream.health {
        health::check(&format!("{path}.health"), health, upstream, findings);
    }
    if let Some(tls) = &upstream.tls {
        check_tls(&format!("{path}.tls"), tls, findings);
    }
    types::check(&format!("{path}.types"), &upstream.types, findings);
    let Pool { idle_per_worker: _, connections_per_worker, idle, connect_timeout, read_idle } =
        &upstream.pool;
    if *connections_per_worker == Some(0) {
        let reason = "0 would leave no way for a call to go";
        let remedy = "write 1 or more, or leave it out";
        findings.error(&format!("{path}.pool.connections_per_worker"), reason, remedy);
    }
    let times = [("idle", idle), ("connect_timeout", connect_timeout), ("read_idle", read_idle)];
    for (key, time) in times {
        findings.positive(&format!("{path}.pool.{key}"), *time);
    }
    if let Some(share) = upstream.max_ejected
        && let Err(error) = Ejection::new(share)
    {
        findings.error(&format!("{path}.{}", error.path), error.reason, error.remedy);
    }
    findings.positive(&format!("{path}.slow_start"), upstream.slow_start);
    check_failover(name, upstream, file, findings);
    if let Some(policy) = &upstream.endpoint_policy {
        let path = format!("{path}.endpoint_policy");
        findings.reference(&path, "policy", "policies", policy, &file.policies);
        if let Some(settings) = file.policies.get(policy)
            && let Err(error) = settings.check_for_endpoint()
        {
            let reason = format!("`{}` of `{policy}`: {}", error.path, error.reason);
            findings.error(&path, reason, error.remedy);
        }
    }
}

/// What calls go to in place of another upstream is one that takes them, and not that again.
fn check_failover(name: &str, upstream: &Upstream, file: &File, findings: &mut Findings<'_>) {
    let Some(to) = &upstream.failover else { return };
    let path = format!("upstreams.{name}.failover");
    let Some(other) = file.upstreams.get(to) else {
        return findings.reference(&path, "upstream", "upstreams", to, &file.upstreams);
    };
    if upstream.speaks().is_rpc() != other.speaks().is_rpc() {
        let (own, others) = (upstream.speaks().name(), other.speaks().name());
        let reason = format!("calls of {own} are none that `{to}` takes, which speaks {others}");
        findings.error(&path, reason, "name an upstream of the same kind");
    }
    let next = |name: &&String| file.upstreams.get(*name)?.failover.as_ref();
    let mut after = std::iter::successors(Some(to), next).take(file.upstreams.len());
    if after.any(|after| after == name) {
        let reason = "it leads back to where it begins";
        findings.error(&path, reason, "let one upstream of the circle have none");
    }
}

/// The endpoints speak one protocol, all of them over TLS or none, and nothing is said that it does not know.
fn check_protocol(path: &str, upstream: &Upstream, findings: &mut Findings<'_>) {
    let (speaks, over_tls) = (upstream.speaks(), upstream.is_over_tls());
    for (index, scheme) in upstream.schemes() {
        let at = format!("{path}.endpoints.{index}");
        // `http` says little: whoever writes a protocol as well says which of HTTP's it is.
        let of_http =
            scheme.protocol == UpstreamProtocol::Http1 && speaks.carries() == Traffic::Http;
        if scheme.protocol != speaks && !of_http {
            let reason =
                format!("`{scheme}` is not `{}`, which the upstream speaks", speaks.name());
            findings.error(&at, reason, "give it an upstream of its own, or the same protocol");
        } else if over_tls && !scheme.tls && upstream.tls.is_none() {
            let reason = format!("`{scheme}` is without TLS, which others of the list are not");
            findings.error(&at, reason, "give it an upstream of its own, or the same scheme");
        }
    }
    let is_named = upstream.tls.as_ref().is_some_and(|tls| tls.server_name.is_some());
    let on_path = |endpoint: &Endpoint| matches!(endpoint.address, Address::Unix(_));
    if over_tls
        && !is_named
        && let Some(at) = upstream.endpoints.iter().position(on_path)
    {
        let reason = "a path names nobody who would have to be there";
        let remedy = "add `server_name` to the `tls` of the upstream";
        findings.error(&format!("{path}.endpoints.{at}"), reason, remedy);
    }
    if !speaks.is_rpc() && !upstream.types.is_empty() {
        let reason = format!("an upstream that speaks {} has no methods", speaks.name());
        let remedy = "remove it, or name a `protocol` of remote calls";
        findings.error_in_key(&format!("{path}.types"), reason, remedy);
    }
    if speaks.carries() != Traffic::Http
        && let Balance::Sticky(_) = upstream.balance
    {
        let reason = "there are no cookies in what it speaks";
        let remedy = "choose another, such as \"hash:client-ip\"";
        findings.error(&format!("{path}.balance"), reason, remedy);
    }
    let introduces = upstream.proxy_protocol.is_some();
    if introduces && !matches!(speaks, UpstreamProtocol::Http1 | UpstreamProtocol::Tcp) {
        let reason =
            format!("a connection that speaks {} is not for one client alone", speaks.name());
        let remedy = "remove it, or write protocol = \"http1\"";
        findings.error_in_key(&format!("{path}.proxy_protocol"), reason, remedy);
    }
    let Pool { idle_per_worker, connections_per_worker, idle, read_idle, .. } = &upstream.pool;
    if introduces && (idle_per_worker.is_some() || idle.is_some()) {
        let reason = "no connection is kept, as each names its client";
        findings.warning(&format!("{path}.pool"), reason, "remove `idle_per_worker` and `idle`");
    }
    let without_effect: &[(&str, bool)] = match speaks {
        UpstreamProtocol::Http1 => &[("connections_per_worker", connections_per_worker.is_some())],
        UpstreamProtocol::Http2 | UpstreamProtocol::Grpc => {
            &[("idle_per_worker", idle_per_worker.is_some())]
        }
        UpstreamProtocol::Auto => &[],
        UpstreamProtocol::Tcp => &[
            ("idle_per_worker", idle_per_worker.is_some()),
            ("connections_per_worker", connections_per_worker.is_some()),
            ("idle", idle.is_some()),
            ("read_idle", read_idle.is_some()),
        ],
        _ => &[("idle_per_worker", idle_per_worker.is_some()), ("read_idle", read_idle.is_some())],
    };
    for (key, _) in without_effect.iter().filter(|(_, given)| *given) {
        let reason = format!("it has no effect on an upstream that speaks {}", speaks.name());
        findings.warning(&format!("{path}.pool.{key}"), reason, "remove it");
    }
}

fn check_tls(path: &str, tls: &UpstreamTls, findings: &mut Findings<'_>) {
    let lacking = match (&tls.cert, &tls.key) {
        (Some(_), None) => Some(("cert", "key")),
        (None, Some(_)) => Some(("key", "cert")),
        _ => None,
    };
    if let Some((given, lacking)) = lacking {
        let reason = format!("a certificate and its key go together, and `{lacking}` is missing");
        findings.error_in_key(&format!("{path}.{given}"), reason, format!("add `{lacking} = …`"));
    }
    if let Some(name) = &tls.server_name
        && !matches!(host_and_port(name), Some((_, None)))
    {
        let reason = format!("`{}` is no name of a server", name.escape_debug());
        let remedy = "write one such as \"users.internal\", without scheme and port";
        findings.error(&format!("{path}.server_name"), reason, remedy);
    }
}
