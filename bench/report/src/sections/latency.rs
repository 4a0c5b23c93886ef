use std::path::Path;

use super::{figure, picture, table};
use crate::Result;
use crate::plot::{self, Lines};
use crate::results::Results;

/// Hundredths of what nginx carries, at which the latency is to be no longer than nginx's.
const JUDGED_AT: f64 = 70.0;

pub(super) fn section(results: &Results, plots: &Path) -> Result<String> {
    let (proxies, loads) = (results.names("proxy"), results.numbers("load_percent"));
    let of = |proxy: &str, load: f64, value: &str| {
        let at = [("load_percent", load)];
        results.values(&[("proxy", proxy)], &at, |row| row.number(value)).median
    };
    let panel = |(title, value): (&str, &str)| {
        let line = |proxy: &&str| {
            let points = loads.iter().map(|load| (*load, of(proxy, *load, value)));
            ((*proxy).to_owned(), points.filter(|(_, us)| us.is_finite()).collect())
        };
        Lines {
            title: format!("{title}, us"),
            x: "requests/s, in % of what nginx carries",
            log_x: false,
            log_y: true,
            lines: proxies.iter().map(line).collect(),
        }
    };
    let panels = [("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")].map(panel);
    plot::lines(&plots.join("latency.svg"), &panels)?;

    let rows = proxies.iter().map(|proxy| {
        let cells = ["p50_us", "p99_us", "p999_us"].map(|value| of(proxy, JUDGED_AT, value));
        let to_nginx = cells[1] / of("nginx", JUDGED_AT, "p99_us");
        let mut row = vec![(*proxy).to_owned()];
        row.extend(cells.map(|us| figure(us, 0)));
        row.push(figure(to_nginx, 2));
        row
    });
    let head = ["at 70 % of what nginx carries", "p50 us", "p99 us", "p99.9 us", "p99 to nginx's"];
    let caption =
        "Latency of requests that are due at random times, counted from when they were due.";
    Ok(picture("latency", caption) + &table(&head, rows))
}
