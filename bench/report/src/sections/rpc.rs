use std::path::Path;

use super::{figure, picture, table};
use crate::Result;
use crate::plot::{self, Bars};
use crate::results::Results;

/// Remote calls of several systems, at the load that promises are made for.
pub(super) fn section(results: &Results, plots: &Path) -> Result<String> {
    let systems = results.names("system");
    let of = |system: &str, bytes: f64, value: &str| {
        let shape = [("callers", 64.0), ("connections", 1.0), ("bytes", bytes)];
        results.values(&[("system", system)], &shape, |row| row.number(value))
    };
    let panel = |bytes: f64| Bars {
        title: format!("{bytes} bytes: processor time of the server, us a call"),
        bars: systems
            .iter()
            .map(|system| ((*system).to_owned(), of(system, bytes, "server_us")))
            .collect(),
        mark: None,
    };
    plot::bars(&plots.join("rpc.svg"), &[panel(8.0), panel(1024.0)])?;

    let rows = systems.iter().map(|system| {
        let cells = [
            figure(of(system, 8.0, "server_us").median, 2),
            figure(of(system, 8.0, "client_us").median, 2),
            figure(of(system, 8.0, "rate").median, 0),
            figure(of(system, 8.0, "p50_us").median, 0),
            figure(of(system, 8.0, "p99_us").median, 0),
        ];
        std::iter::once((*system).to_owned()).chain(cells).collect()
    });
    let head = [
        "64 callers on one connection, 8 bytes",
        "server us/call",
        "client us/call",
        "calls/s",
        "p50 us",
        "p99 us",
    ];
    let caption =
        "What a remote call costs its server, with 64 callers on one connection: less is better.";
    Ok(picture("rpc", caption) + &table(&head, rows))
}

/// Remote calls through the proxy.
pub(super) fn proxied(results: &Results, plots: &Path) -> Result<String> {
    let proxies = results.names("proxy");
    let mut shapes: Vec<(&str, &str, f64, f64)> = Vec::new();
    for row in &results.rows {
        let shape = (|| {
            Some((
                row.text("client")?,
                row.text("server")?,
                row.number("callers")?,
                row.number("connections")?,
            ))
        })();
        shapes.extend(shape.filter(|shape| !shapes.contains(shape)));
    }
    let of = |(client, server, callers, connections): (&str, &str, f64, f64),
              proxy: &str,
              value: &str| {
        results.values(
            &[("client", client), ("server", server), ("proxy", proxy)],
            &[("callers", callers), ("connections", connections)],
            |row| row.number(value),
        )
    };
    // Without a proxy there is none that costs anything.
    let between: Vec<_> = proxies.iter().filter(|proxy| **proxy != "none").collect();
    let panel = |server: &str| Bars {
        title: format!("{server}'s server: processor time of the proxy, us a call"),
        bars: shapes
            .iter()
            .filter(|shape| shape.1 == server)
            .flat_map(|shape| {
                between.iter().map(move |proxy| {
                    let (client, _, callers, connections) = shape;
                    let name = format!("{proxy}: {client}, {callers} x {connections}");
                    (name, of(*shape, proxy, "proxy_us"))
                })
            })
            .collect(),
        mark: None,
    };
    let panels: Vec<_> = results.names("server").into_iter().map(panel).collect();
    plot::bars(&plots.join("rpc-proxy.svg"), &panels)?;

    let rows = shapes.iter().map(|shape| {
        let (client, server, callers, connections) = shape;
        let name = format!("{client} to {server}, {callers} x {connections}");
        let cells = between.iter().map(|proxy| figure(of(*shape, proxy, "proxy_us").median, 2));
        std::iter::once(name).chain(cells).collect()
    });
    let mut head = vec!["client to server, callers x connections; proxy us/call"];
    head.extend(between.iter().copied());
    let caption = "What a remote call costs a proxy in between: Locum takes every call by itself, HAProxy passes bytes on.";
    Ok(picture("rpc-proxy", caption) + &table(&head, rows))
}
