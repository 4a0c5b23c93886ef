use std::path::Path;

use super::{figure, picture, table};
use crate::Result;
use crate::plot::{self, Bars};
use crate::results::{Results, Row};

/// Processor time per request, to nginx's just before and after.
fn ratio(row: &Row) -> Option<f64> {
    row.ratio("us", "reference_us")
}

pub(super) fn section(results: &Results, plots: &Path) -> Result<String> {
    beside(results, plots, "proxy")
}

/// The ways to the kernel.
pub(super) fn io(results: &Results, plots: &Path) -> Result<String> {
    beside(results, plots, "io")
}

fn beside(results: &Results, plots: &Path, name: &str) -> Result<String> {
    let (scenarios, proxies) = (results.names("scenario"), results.names("proxy"));
    let of = |scenario: &str, proxy: &str| {
        results.values(&[("scenario", scenario), ("proxy", proxy)], &[], ratio)
    };
    let panel = |scenario: &&str| Bars {
        title: (*scenario).to_owned(),
        bars: proxies.iter().map(|proxy| ((*proxy).to_owned(), of(scenario, proxy))).collect(),
        mark: Some(1.0),
    };
    let panels: Vec<_> = scenarios.iter().map(panel).collect();
    plot::bars(&plots.join(format!("{name}.svg")), &panels)?;

    let mut head = vec!["processor time a request, to nginx"];
    head.extend(&proxies);
    let rows = scenarios.iter().map(|scenario| {
        let cells = proxies.iter().map(|proxy| figure(of(scenario, proxy).median, 2));
        std::iter::once((*scenario).to_owned()).chain(cells).collect()
    });
    let caption = "Processor time of the proxy for a request, to that of nginx measured just before and after: \
                   less is better; medians, and the range of the rounds.";
    Ok(picture(name, caption) + &table(&head, rows))
}
