use std::path::Path;

use super::{figure, picture, table};
use crate::Result;
use crate::plot::{self, Bars};
use crate::results::{Results, Row};

/// Hundredths that a request costs more than without a policy, just before and after.
fn more(row: &Row) -> Option<f64> {
    Some((row.ratio("us", "reference_us")? - 1.0) * 100.0)
}

pub(super) fn section(results: &Results, plots: &Path) -> Result<String> {
    let of = |policy: &str| results.values(&[("proxy", policy)], &[], more);
    let policies = results.names("proxy");
    // The first is the proxy without a policy.
    let policies = policies.get(1..).unwrap_or_default();
    let panel = Bars {
        title: "processor time that a policy adds to a request, %".to_owned(),
        bars: policies.iter().map(|policy| ((*policy).to_owned(), of(policy))).collect(),
        mark: None,
    };
    plot::bars(&plots.join("policies.svg"), &[panel])?;

    let rows = policies.iter().map(|policy| {
        let of_policy = [("proxy", *policy)];
        let us = results.values(&of_policy, &[], |row| row.number("us")).median;
        let added = |row: &Row| Some(row.number("us")? - row.number("reference_us")?);
        let added = results.values(&of_policy, &[], added).median;
        let cells = [figure(us, 1), figure(added, 2), figure(of(policy).median, 1)];
        std::iter::once((*policy).to_owned()).chain(cells).collect()
    });
    let head = ["policy", "us/request", "more than without", "in %"];
    let caption =
        "What policies add to a request through the proxy; medians, and the range of the rounds.";
    let mut text = picture("policies", caption) + &table(&head, rows);

    let engine = |begin: &str| -> Vec<(String, f64)> {
        let named = results.rows.iter().filter_map(|row| {
            let name = row.text("engine")?.strip_prefix(begin)?;
            Some((name.to_owned(), row.number("ns")?))
        });
        named.collect()
    };
    let engine = engine("");
    if !engine.is_empty() {
        text.push_str(
            "\nThe same without a network, by criterion: around a call that is answered at once.\n",
        );
        let rows = engine.into_iter().map(|(name, ns)| vec![name, figure(ns, 1)]);
        text.push_str(&table(&["engine", "ns a call"], rows));
    }
    Ok(text)
}
