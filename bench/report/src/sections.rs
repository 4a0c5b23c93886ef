//! One section for each benchmark, in the order of the report.

mod latency;
mod memory;
mod policies;
mod proxy;
mod rpc;
mod scale;

use std::fmt::Write as _;
use std::path::Path;

use crate::Result;
use crate::results::Results;

/// Draws its plots, and gives back what the report says of them.
type Section = fn(&Results, &Path) -> Result<String>;

/// By the name of the benchmark.
pub(crate) const SECTIONS: [(&str, Section); 8] = [
    ("proxy", proxy::section),
    ("io", proxy::io),
    ("latency", latency::section),
    ("memory", memory::section),
    ("policies", policies::section),
    ("scale", scale::section),
    ("rpc", rpc::section),
    ("rpc-proxy", rpc::proxied),
];

/// A plot of that name, with what it shows.
fn picture(name: &str, caption: &str) -> String {
    format!("\n{caption}\n\n![{caption}](plots/{name}.svg)\n")
}

/// A table of Markdown; all columns but the first hold numbers.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("\n| {} |\n|---|", head.join(" | "));
    text.push_str(&"--:|".repeat(head.len() - 1));
    text.push('\n');
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// A number with so many digits after the point, or nothing.
fn figure(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "–".to_owned() }
}
