//! What listeners have to hold: an address of their own, limits that let something through.

use std::net::SocketAddr;

use super::check::{Findings, check_name};
use super::file::{File, Limits, Listener, ListenerProtocol};
use super::value::Bind;

pub(super) fn check(file: &File, findings: &mut Findings<'_>) {
    for (name, listener) in &file.listeners {
        check_listener(name, listener, findings);
    }
    check_addresses(file, findings);
}

fn check_listener(name: &str, listener: &Listener, findings: &mut Findings<'_>) {
    let path = format!("listeners.{name}");
    check_name(&path, name, findings);
    if name == "admin" {
        let reason = "the name `admin` is the admin API's own";
        findings.error_in_key(&path, reason, "choose another name");
    }
    let Limits {
        connections,
        connections_per_client,
        header_bytes,
        headers,
        header_timeout,
        body_bytes,
        body_idle,
        body_rate,
        write_stall,
        idle,
        requests_per_connection,
        message_bytes,
        calls_per_connection,
    } = &listener.limits;
    let key = |key: &str| format!("listeners.{name}.limits.{key}");
    let counts = [
        ("connections", connections),
        ("connections_per_client", connections_per_client),
        ("headers", headers),
        ("calls_per_connection", calls_per_connection),
    ];
    for (name, count) in counts {
        if *count == Some(0) {
            findings.error(
                &key(name),
                "0 would refuse everything",
                "write 1 or more, or leave it out",
            );
        }
    }
    if header_bytes.is_some_and(|size| !HEADER_BYTES.contains(&size.0)) {
        let reason = "a head of that size cannot be served";
        findings.error(&key("header_bytes"), reason, "write a size from 1KiB to 1MiB");
    }
    if message_bytes.is_some_and(|size| !MESSAGE_BYTES.contains(&size.0)) {
        let reason = "a message of that size cannot be served";
        findings.error(&key("message_bytes"), reason, "write a size from 1KiB to 1GiB");
    }
    let (of_traffic, other): (&[(&str, bool)], _) = match listener.protocol {
        ListenerProtocol::Auto => (&[], ""),
        ListenerProtocol::Http => (
            &[
                ("message_bytes", message_bytes.is_some()),
                ("calls_per_connection", calls_per_connection.is_some()),
            ],
            "remote calls",
        ),
        ListenerProtocol::Rpc => (
            &[
                ("header_bytes", header_bytes.is_some()),
                ("headers", headers.is_some()),
                ("body_bytes", body_bytes.is_some()),
                ("body_idle", body_idle.is_some()),
                ("body_rate", body_rate.is_some()),
                ("idle", idle.is_some()),
                ("requests_per_connection", requests_per_connection.is_some()),
            ],
            "HTTP requests",
        ),
    };
    for (name, _) in of_traffic.iter().filter(|(_, given)| *given) {
        let reason = format!("it bounds {other}, of which the listener takes none");
        findings.warning(&key(name), reason, "remove it, or write protocol = \"auto\"");
    }
    if listener.tls.as_ref().is_some_and(|tls| tls.certificates.is_empty()) {
        let reason = "the list is empty, so no client could be shown who this is";
        let remedy = "name a certificate: [{ cert = \"a.pem\", key = \"a.key\" }]";
        findings.error(&format!("{path}.tls.certificates"), reason, remedy);
    }
    let times = [
        ("header_timeout", header_timeout),
        ("body_idle", body_idle),
        ("write_stall", write_stall),
        ("idle", idle),
    ];
    for (name, time) in times {
        findings.positive(&key(name), *time);
    }
}

/// Two listeners cannot share an address, nor one with the admin API.
fn check_addresses(file: &File, findings: &mut Findings<'_>) {
    let admin = file.admin.iter().map(|admin| ("admin.listen".to_owned(), &admin.listen));
    let listeners = file.listeners.iter();
    let listeners =
        listeners.map(|(name, listener)| (format!("listeners.{name}.bind"), &listener.bind));
    let all: Vec<_> = admin.chain(listeners).collect();
    for (index, (path, bind)) in all.iter().enumerate() {
        if let Some((other, _)) = all[..index].iter().find(|(_, other)| collide(bind, other)) {
            let owner = other.strip_suffix(".bind").or_else(|| other.strip_suffix(".listen"));
            let reason = format!("`{bind}` is already taken by `{}`", owner.unwrap_or(other));
            findings.error(path, reason, "choose another address");
        }
    }
}

fn collide(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Unix(one), Bind::Unix(other)) => one == other,
        (Bind::Tcp(one), Bind::Tcp(other)) => {
            let everywhere = |address: &SocketAddr| address.ip().is_unspecified();
            one.port() == other.port()
                && one.port() != 0
                && (one.ip() == other.ip() || everywhere(one) || everywhere(other))
        }
        _ => false,
    }
}

const HEADER_BYTES: std::ops::RangeInclusive<u64> = 1024..=1024 * 1024;
const MESSAGE_BYTES: std::ops::RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;
