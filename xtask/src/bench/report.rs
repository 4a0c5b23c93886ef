//! The tables, on standard output and in `bench/results/`.

use std::fmt::Write as _;
use std::fs;

use super::idle::{CONNECTIONS, Memory};
use super::load::Measured;
use super::{ROUNDS, Series};
use crate::process::{output, root};

/// Prints what was measured; if it is to be kept, it goes to a file named for the day, unless most of it was
/// measured on a busy machine and says little.
pub(super) fn tell(
    series: &[Series],
    memory: &[Memory],
    (runs, disturbed): (usize, usize),
    keep: bool,
) -> Result<(), String> {
    let text = render(series, memory, disturbed, runs);
    println!("\n{text}");
    if !keep {
        return Ok(());
    }
    if disturbed * 2 > runs {
        return Err(format!("{disturbed} of {runs} runs were disturbed: nothing is written"));
    }
    let day = output("date", &["+%F"]).ok_or("no date")?;
    let file = root().join(format!("bench/results/{day}-proxy.md"));
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("==> written to {}", file.display());
    Ok(())
}

fn render(series: &[Series], memory: &[Memory], disturbed: usize, runs: usize) -> String {
    let mut text = format!(
        "# The data path beside nginx and HAProxy\n\n\
         Command: `cargo xtask bench proxy`, at {}. Machine: {}.\n\
         Versions: {}, {}, {}.\n\n\
         One worker each, on core 0; the origin (nginx, 1 KiB from memory) and the load (wrk, for\n\
         HTTP/2 h2load) on core 1. Kept connections on both sides, where nothing else is said. {ROUNDS} rounds; nginx runs between all others, and a\n\
         ratio is that of a run's processor time per request to the mean of the two runs of nginx\n\
         around it; normalised, both are first divided by what the origin and the load spent on a\n\
         request at the same time. Medians. {disturbed} of {runs} runs were disturbed by others.\n",
        revision(),
        machine(),
        version("nginx"),
        version("haproxy"),
        version("nghttp2-client"),
    );
    let mut scenario = "";
    for one in series {
        if one.scenario != scenario {
            scenario = one.scenario;
            let _ = write!(
                text,
                "\n## {scenario}\n\n\
                 | proxy | us/request | to nginx | range | normalised | requests/s | p50 ms | p99 ms |\n\
                 |---|--:|--:|--:|--:|--:|--:|--:|\n"
            );
        }
        let _ = writeln!(text, "{}", row(one));
    }
    let _ = write!(
        text,
        "\n## {CONNECTIONS} idle connections, each after one request\n\n\
         | proxy | MiB at rest | MiB with them | bytes each |\n|---|--:|--:|--:|\n"
    );
    for one in memory {
        let each = one.with_idle.saturating_sub(one.at_rest) * 1024 / CONNECTIONS as u64;
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.1} | {each} |",
            one.name,
            one.at_rest as f64 / 1024.0,
            one.with_idle as f64 / 1024.0,
        );
    }
    text
}

fn row(one: &Series) -> String {
    let of = |value: fn(&Measured) -> f64| median(one.runs.iter().map(|(run, _)| value(run)));
    let ratios: Vec<_> =
        one.runs.iter().map(|(run, around)| run.processor / around.processor).collect();
    let normalised = one
        .runs
        .iter()
        .map(|(run, around)| (run.processor / run.rest) / (around.processor / around.rest));
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    format!(
        "| {} | {:.1} | {:.2} | {least:.2}–{most:.2} | {:.2} | {:.0} | {:.2} | {:.2} |",
        one.name,
        of(|m| m.processor),
        median(ratios.iter().copied()),
        median(normalised),
        of(|m| m.rate),
        of(|m| m.p50),
        of(|m| m.p99),
    )
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (odd, middle) if odd % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The commit that was measured.
pub(super) fn revision() -> String {
    let root = root().display().to_string();
    let known = output("git", &["-C", &root, "rev-parse", "--short", "HEAD"]);
    known.unwrap_or_else(|| "an unknown revision".to_owned())
}

/// The version of an installed Debian package.
pub(super) fn version(package: &str) -> String {
    let known = output("dpkg-query", &["-W", "-f", "${Version}", package]);
    format!("{package} {}", known.as_deref().unwrap_or("of unknown version"))
}

pub(super) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let kernel = output("uname", &["-sr"]).unwrap_or_default();
    format!("{cores} cores of {model}, {kernel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
