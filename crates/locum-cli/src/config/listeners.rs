//! What listeners have to hold: an address of their own, limits that let something through.

use std::net::SocketAddr;

use super::file::{File, Http2Limits, Limits, Listener, ListenerProtocol};
use super::findings::Findings;
use super::value::{Bind, Peer};

pub(super) fn check(file: &File, findings: &mut Findings<'_>) {
    for (name, listener) in &file.listeners {
        check_listener(name, listener, findings);
    }
    check_addresses(file, findings);
}

fn check_listener(name: &str, listener: &Listener, findings: &mut Findings<'_>) {
    let path = format!("listeners.{name}");
    findings.name(&path, name);
    if name == "admin" {
        let reason = "the name `admin` is the admin API's own";
        findings.error_in_key(&path, reason, "choose another name");
    }
    if listener.tls.as_ref().is_some_and(|tls| tls.certificates.is_empty()) {
        let reason = "the list is empty, so no client could be shown who this is";
        let remedy = "name a certificate: [{ cert = \"a.pem\", key = \"a.key\" }]";
        findings.error(&format!("{path}.tls.certificates"), reason, remedy);
    }
    let believes = |peer: &Peer| matches!(peer, Peer::Net(_));
    if listener.proxy_protocol.is_some()
        && !listener.trusted_proxies.iter().any(believes)
        && matches!(listener.bind, Bind::Tcp(_))
    {
        let reason = "nobody gets in: no peer is believed to say whom it carries";
        let remedy = "name the proxies in front: trusted_proxies = [\"10.0.0.0/8\"]";
        findings.error_in_key(&format!("{path}.proxy_protocol"), reason, remedy);
    }
    if listener.socket.is_some() && !matches!(listener.bind, Bind::Unix(_)) {
        let reason = format!("`{}` has no file", listener.bind);
        let remedy = "remove it, or listen on a path such as \"unix:/run/web.sock\"";
        findings.error_in_key(&format!("{path}.socket"), reason, remedy);
    }
    check_limits(&format!("{path}.limits"), &listener.limits, findings);
    check_traffic(&format!("{path}.limits"), listener, findings);
}

/// Every limit has to let something through.
fn check_limits(path: &str, limits: &Limits, findings: &mut Findings<'_>) {
    let key = |key: &str| format!("{path}.{key}");
    let counts = [
        ("connections", limits.connections),
        ("connections_per_client", limits.connections_per_client),
        ("headers", limits.headers),
        ("calls_per_connection", limits.calls_per_connection),
    ];
    for (name, count) in counts {
        if count == Some(0) {
            findings.error(
                &key(name),
                "0 would refuse everything",
                "write 1 or more, or leave it out",
            );
        }
    }
    if limits.header_bytes.is_some_and(|size| !HEADER_BYTES.contains(&size.0)) {
        let reason = "a head of that size cannot be served";
        findings.error(&key("header_bytes"), reason, "write a size from 1KiB to 1MiB");
    }
    if limits.message_bytes.is_some_and(|size| !MESSAGE_BYTES.contains(&size.0)) {
        let reason = "a message of that size cannot be served";
        findings.error(&key("message_bytes"), reason, "write a size from 1KiB to 1GiB");
    }
    if let Some(http2) = &limits.http2 {
        check_http2(&format!("{path}.http2"), http2, findings);
    }
    let times = [
        ("header_timeout", limits.header_timeout),
        ("body_idle", limits.body_idle),
        ("write_stall", limits.write_stall),
        ("idle", limits.idle),
    ];
    for (name, time) in times {
        findings.positive(&key(name), time);
    }
}

/// What HTTP/2 itself leaves a listener to say (RFC 9113 §6.5.2, §6.9.2).
fn check_http2(path: &str, limits: &Http2Limits, findings: &mut Findings<'_>) {
    let key = |key: &str| format!("{path}.{key}");
    let counts = [
        ("streams", limits.streams),
        ("header_frames", limits.header_frames),
        ("control_frames", limits.control_frames),
        ("mistakes", limits.mistakes),
        ("resets", limits.resets),
    ];
    for (name, _) in counts.iter().filter(|(_, count)| *count == Some(0)) {
        let remedy = "write 1 or more, or leave it out";
        findings.error(&key(name), "0 would refuse everything", remedy);
    }
    findings.positive(&key("settings_timeout"), limits.settings_timeout);
    let sizes = [
        ("stream_window", limits.stream_window, 1..=MOST_WINDOW, "1B to 1GiB"),
        ("connection_window", limits.connection_window, 65_535..=MOST_WINDOW, "64KiB to 1GiB"),
        ("frame_bytes", limits.frame_bytes, 16 << 10..=1 << 20, "16KiB to 1MiB"),
        ("header_table", limits.header_table, 0..=1 << 20, "0 to 1MiB"),
        ("memory", limits.memory, 64 << 10..=MOST_WINDOW, "64KiB to 1GiB"),
    ];
    for (name, size, range, words) in sizes {
        if size.is_some_and(|size| !range.contains(&size.0)) {
            let reason = "a connection of HTTP/2 cannot be served so";
            findings.error(&key(name), reason, format!("write a size from {words}"));
        }
    }
}

/// Warns of limits of what the listener does not take.
fn check_traffic(path: &str, listener: &Listener, findings: &mut Findings<'_>) {
    let limits = &listener.limits;
    let of_http = [
        ("header_bytes", limits.header_bytes.is_some()),
        ("headers", limits.headers.is_some()),
        ("body_bytes", limits.body_bytes.is_some()),
        ("body_idle", limits.body_idle.is_some()),
        ("body_rate", limits.body_rate.is_some()),
        ("idle", limits.idle.is_some()),
        ("requests_per_connection", limits.requests_per_connection.is_some()),
        ("http2", limits.http2.is_some()),
    ];
    let of_calls = [
        ("message_bytes", limits.message_bytes.is_some()),
        ("calls_per_connection", limits.calls_per_connection.is_some()),
    ];
    let (foreign, what) = match listener.protocol {
        ListenerProtocol::Auto => return,
        ListenerProtocol::Http => (of_calls.to_vec(), "remote calls"),
        ListenerProtocol::Rpc => (of_http.to_vec(), "HTTP requests"),
        ListenerProtocol::Tcp => {
            let meaningless = of_http.iter().chain(&of_calls).filter(|(name, _)| *name != "idle");
            (meaningless.copied().collect(), "requests or calls")
        }
    };
    for (name, _) in foreign.iter().filter(|(_, given)| *given) {
        let reason = format!("it bounds {what}, of which the listener takes none");
        findings.warning(
            &format!("{path}.{name}"),
            reason,
            "remove it, or write protocol = \"auto\"",
        );
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
        (Bind::Given(one), Bind::Given(other)) => one == other,
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
const MOST_WINDOW: u64 = 1 << 30;
const MESSAGE_BYTES: std::ops::RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;
