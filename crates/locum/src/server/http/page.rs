//! What a server tells of itself.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::metrics::Exposition;
use crate::server::core::Core;
use crate::server::directory::Entry;
use crate::server::reflection::MethodInfo;

/// The services, their methods with types, and how often each was called: like Go's `/debug/rpc`.
pub(super) fn html(core: &Core) -> String {
    let mut page =
        String::from("<!DOCTYPE html><html><head><title>Services</title></head><body>\n");
    let mut service = "";
    for entry in core.directory.entries() {
        let name = entry.service.spec().name;
        if name != service {
            page.push_str(if service.is_empty() { "" } else { "</table>\n" });
            service = name;
            page.push_str("<hr>Service ");
            escape(&mut page, name);
            page.push_str("<hr>\n<table><tr><th>Method</th><th>Calls</th></tr>\n");
        }
        let method = entry.method;
        let signature = format!("{}({}) {}", method.path, method.args_type, method.reply_type);
        page.push_str("<tr><td><code>");
        escape(&mut page, &signature);
        let _ = writeln!(page, "</code></td><td>{}</td></tr>", entry.calls.total());
    }
    page.push_str("</table>\n</body></html>\n");
    page
}

/// The same for a program.
pub(super) fn json(core: &Core) -> String {
    #[derive(Serialize)]
    struct Page<'a> {
        services: Vec<Service<'a>>,
    }
    #[derive(Serialize)]
    struct Service<'a> {
        name: &'a str,
        methods: Vec<Called>,
    }
    #[derive(Serialize)]
    struct Called {
        #[serde(flatten)]
        method: MethodInfo,
        calls: u64,
    }
    let called = |entry: &Entry| Called {
        method: MethodInfo::new(entry.method),
        calls: entry.calls.total(),
    };
    let mut services: Vec<Service<'_>> = Vec::new();
    for entry in core.directory.entries() {
        let name = entry.service.spec().name;
        match services.last_mut().filter(|last| last.name == name) {
            Some(service) => service.methods.push(called(entry)),
            None => services.push(Service { name, methods: vec![called(entry)] }),
        }
    }
    serde_json::to_string(&Page { services }).expect("names and numbers are JSON")
}

/// What Prometheus reads.
pub(in crate::server) fn metrics(core: &Core) -> String {
    let counts = &core.counts;
    let mut text = Exposition::default();
    let methods = core.directory.entries().map(|entry| (entry.method.path, &entry.calls));
    text.calls(methods.chain([("_unknown", &counts.unknown)]));
    let open = counts.connections.load(Ordering::Relaxed);
    let accepted = counts.accepted.load(Ordering::Relaxed);
    let refused = counts.refused.load(Ordering::Relaxed);
    let panics = counts.panics.load(Ordering::Relaxed);
    text.gauge("locum_calls_in_flight", "Calls that have a task.", core.in_flight());
    text.gauge("locum_connections", "Open connections.", open);
    text.counter("locum_connections_total", "Connections that were taken in.", accepted);
    let help = "Connections that came to nothing: too many, too slow, or not understood.";
    text.counter("locum_refused_total", help, refused);
    text.counter("locum_panics_total", "Handlers that panicked.", panics);
    text.into_text()
}

pub(super) const METRICS_TYPE: &str = Exposition::CONTENT_TYPE;

fn escape(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '&' => page.push_str("&amp;"),
            other => page.push(other),
        }
    }
}
