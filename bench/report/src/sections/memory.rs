use std::path::Path;

use super::{figure, picture, table};
use crate::Result;
use crate::plot::{self, Lines};
use crate::results::Results;

pub(super) fn section(results: &Results, plots: &Path) -> Result<String> {
    let (proxies, counts) = (results.names("proxy"), results.numbers("connections"));
    let of = |proxy: &str, count: f64, value: &str| {
        let at = [("connections", count)];
        results.values(&[("proxy", proxy)], &at, |row| row.number(value)).median
    };
    let line = |proxy: &&str| {
        let points = counts.iter().map(|count| (*count, of(proxy, *count, "rss_kib") / 1024.0));
        ((*proxy).to_owned(), points.filter(|(_, mib)| mib.is_finite()).collect())
    };
    let panel = Lines {
        title: "resident memory, MiB".to_owned(),
        x: "idle connections",
        log_x: true,
        log_y: true,
        lines: proxies.iter().map(line).collect(),
    };
    plot::lines(&plots.join("memory.svg"), &[panel])?;

    let mut head = vec!["proxy".to_owned()];
    head.extend(counts.iter().map(|count| format!("MiB with {count}")));
    head.extend(counts.last().map(|most| format!("bytes for each of {most}")));
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    let rows = proxies.iter().map(|proxy| {
        let mut row = vec![(*proxy).to_owned()];
        row.extend(counts.iter().map(|count| figure(of(proxy, *count, "rss_kib") / 1024.0, 1)));
        row.extend(counts.last().map(|most| figure(of(proxy, *most, "bytes_each"), 0)));
        row
    });
    let caption = "Resident memory with connections that made one request each and then nothing.";
    Ok(picture("memory", caption) + &table(&head, rows))
}
