use std::path::Path;

use super::{figure, picture, table};
use crate::Result;
use crate::plot::{self, Lines};
use crate::results::Results;

pub(super) fn section(results: &Results, plots: &Path) -> Result<String> {
    let (proxies, scenarios) = (results.names("proxy"), results.names("scenario"));
    let us = |scenario: &str, proxy: &str| {
        let of = [("scenario", scenario), ("proxy", proxy)];
        results.values(&of, &[], |row| row.number("us")).median
    };
    // A scenario is a number, and of what.
    let sizes: Vec<(f64, &str, &str)> = scenarios
        .iter()
        .filter_map(|scenario| {
            let (size, of) = scenario.split_once(' ')?;
            Some((size.parse().ok()?, of, *scenario))
        })
        .collect();
    let mut kinds: Vec<&str> = sizes.iter().map(|(_, of, _)| *of).collect();
    kinds.dedup();
    let panel = |kind: &&str| {
        let line = |proxy: &&str| {
            let of_kind = sizes.iter().filter(|(_, of, _)| of == kind);
            let points = of_kind.map(|(size, _, scenario)| (*size, us(scenario, proxy)));
            ((*proxy).to_owned(), points.filter(|(_, us)| us.is_finite()).collect())
        };
        Lines {
            title: format!("processor time a request, us, by {kind}"),
            x: "how many",
            log_x: true,
            log_y: false,
            lines: proxies.iter().map(line).collect(),
        }
    };
    let panels: Vec<_> = kinds.iter().map(panel).collect();
    plot::lines(&plots.join("scale.svg"), &panels)?;

    let rows = scenarios.iter().map(|scenario| {
        let cells = proxies.iter().map(|proxy| figure(us(scenario, proxy), 1));
        std::iter::once((*scenario).to_owned()).chain(cells).collect()
    });
    let mut head = vec!["us/request"];
    head.extend(&proxies);
    let caption = "Processor time of the proxy for a request, with many of something.";
    Ok(picture("scale", caption) + &table(&head, rows) + &reloads(results, plots)?)
}

/// What requests feel of a reload, where that was measured.
fn reloads(results: &Results, plots: &Path) -> Result<String> {
    // Other rows are of no number of routes.
    let sizes = results.numbers("routes");
    if sizes.is_empty() {
        return Ok(String::new());
    }
    let of = |routes: f64, value: &str| {
        results.values(&[], &[("routes", routes)], |row| row.number(value))
    };
    let line = |(name, value): (&str, &str)| {
        let points = sizes.iter().map(|routes| (*routes, of(*routes, value).median));
        (name.to_owned(), points.filter(|(_, value)| value.is_finite()).collect())
    };
    let panel = |title: &str, lines: &[(&str, &str)]| Lines {
        title: title.to_owned(),
        x: "routes",
        log_x: true,
        log_y: true,
        lines: lines.iter().copied().map(line).collect(),
    };
    let longest = [("locum, reloading", "longest_us"), ("no reload", "quiet_longest_us")];
    let panels = [
        panel("a reload, ms", &[("locum", "reload_ms")]),
        panel("the longest request meanwhile, us", &longest),
    ];
    plot::lines(&plots.join("reload.svg"), &panels)?;

    let columns = ["reload_ms", "longest_us", "quiet_longest_us"];
    let rows = sizes.iter().map(|routes| {
        let cells = columns.map(|value| of(*routes, value)).into_iter();
        let cells = cells.flat_map(|spread| [figure(spread.median, 0), figure(spread.most, 0)]);
        std::iter::once(format!("{routes}")).chain(cells).collect()
    });
    let head =
        ["routes", "reload ms", "most", "longest request us", "most", "without a reload", "most"];
    let caption = "A reload in which one route of many changes, and the longest request meanwhile.";
    Ok(picture("reload", caption) + &table(&head, rows))
}
