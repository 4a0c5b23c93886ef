//! What was measured, as tables and run by run.

use std::fmt::Write as _;

use super::{LOADS, Load, Runs, SERVERS, WAYS};
use crate::bench::results::{Results, Row, median};
use crate::bench::rpc::report::gos;
use crate::bench::rpc::system::Measured;
use crate::bench::server::HAPROXY_TCP;

/// Everything that was measured.
pub(super) fn results(runs: &Runs, rounds: usize) -> Results {
    Results {
        name: "rpc-proxy",
        title: "Remote calls through the proxy",
        versions: vec![HAPROXY_TCP.program.version(), gos()],
        tables: tables(runs, rounds),
        rows: rows(runs),
    }
}

fn tables(all: &Runs, rounds: usize) -> String {
    let mut text = format!(
        "Go's net/rpc over gob; 8 bytes are a multiplication. The proxy on core 0, the server and the\n\
         load on core 1; closed loop; {rounds} interleaved rounds, medians and the range of what the proxy\n\
         spends on a call. Locum has one worker and takes every call by itself, under a timeout, a rate\n\
         limit, a cap on concurrency, a breaker and retries, and with metrics; HAProxy passes bytes on. Go's\n\
         client writes every call by itself, ours what its callers have for it in one go.\n"
    );
    for (server, (name, _)) in SERVERS.iter().enumerate() {
        for (at, load) in LOADS.iter().enumerate() {
            let Load { client, callers, connections, .. } = load;
            let _ = write!(
                text,
                "\n## {client}'s client, {callers} callers on each of {connections} connections, {name}'s server\n\n\
                 | proxy | proxy us/call | range | server us/call | client us/call | calls/s | p50 us | p99 us |\n\
                 |---|--:|--:|--:|--:|--:|--:|--:|\n"
            );
            for (way, name) in WAYS.iter().enumerate() {
                let runs = all.get(&(server, at, way)).map_or(&[][..], Vec::as_slice);
                let _ = writeln!(text, "{}", row(name, runs));
            }
        }
    }
    text.push_str("\n## What was wanted\n\n| what | is | wanted |\n|---|--:|--:|\n");
    for (what, is, wanted) in promises(all) {
        let _ = writeln!(text, "| {what} | {is} | {wanted} |");
    }
    text
}

fn row(name: &str, runs: &[Measured]) -> String {
    let of = |value: fn(&Measured) -> f64| median(runs.iter().map(value));
    let least = runs.iter().map(|run| run.server).fold(f64::INFINITY, f64::min);
    let most = runs.iter().map(|run| run.server).fold(0.0, f64::max);
    format!(
        "| {name} | {:.2} | {least:.2}–{most:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.1} |",
        of(|run| run.server),
        of(|run| run.behind),
        of(|run| run.client),
        of(|run| run.rate),
        of(|run| run.p50),
        of(|run| run.p99),
    )
}

/// A call of Go's costs the proxy at most what it costs Go's server, and the proxy's core carries 200,000
/// calls a second of a client that batches.
fn promises(all: &Runs) -> Vec<(String, String, String)> {
    let locum = WAYS.len() - 1;
    let of = |server: usize, load: usize, value: fn(&Measured) -> f64| {
        let runs = all.get(&(server, load, locum)).map_or(&[][..], Vec::as_slice);
        median(runs.iter().map(value))
    };
    let mut told = Vec::new();
    for (at, load) in LOADS.iter().enumerate().filter(|(_, load)| load.client == "Go") {
        let is = of(0, at, |run| run.server / run.behind);
        let what = format!(
            "Go to Go, {} x {}: the proxy's time a call to the server's",
            load.callers, load.connections
        );
        told.push((what, format!("{is:.2}"), "at most 1.00".to_owned()));
    }
    for (at, load) in LOADS.iter().enumerate().filter(|(_, load)| load.client == "locum") {
        let wanted = || "at least 200000".to_owned();
        let shape = format!("locum to locum, {} x {}", load.callers, load.connections);
        let seen = of(1, at, |run| run.rate);
        told.push((format!("{shape}: calls/s"), format!("{seen:.0}"), wanted()));
        let most = of(1, at, |run| 1e6 / run.server);
        told.push((
            format!("{shape}: calls in a second of the proxy's core"),
            format!("{most:.0}"),
            wanted(),
        ));
    }
    told
}

fn rows(runs: &Runs) -> Vec<Row> {
    let rows = runs.iter().flat_map(|((server, load, way), runs)| {
        runs.iter().map(move |run| {
            let Load { client, callers, connections, .. } = &LOADS[*load];
            Row::default()
                .text("proxy", WAYS[*way])
                .text("client", client)
                .text("server", SERVERS[*server].0)
                .number("callers", *callers as f64)
                .number("connections", *connections as f64)
                .number("rate", run.rate)
                .number("p50_us", run.p50)
                .number("p99_us", run.p99)
                .number("proxy_us", run.server)
                .number("server_us", run.behind)
                .number("client_us", run.client)
        })
    });
    rows.collect()
}
