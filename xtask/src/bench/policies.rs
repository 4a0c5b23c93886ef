//! `cargo xtask bench policies`: what each policy costs a request, beside the proxy without any.
//!
//! The same without a network, where smaller differences show, is what criterion measures in
//! `crates/locum-policy/benches`; its estimates are told as well.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::beside;
use super::load::Bench;
use super::material;
use super::need_tools;
use super::options::Options;
use super::peer::{Peer, Place};
use super::program::package_version;
use super::results::{Results, Row};
use super::scenario::SCENARIOS;
use super::server::{LOCUM_BARE, Server};
use crate::process::{Step, target};

/// As many as it takes to see a hundredth.
const ROUNDS: usize = 8;

/// Each of these with its defaults; the limits lie above the load, so that each of them decides on every call and
/// none refuses one.
const POLICIES: [(&str, &[&str]); 11] = [
    ("nothing in it", &[]),
    ("timeouts", &[TIMEOUTS]),
    ("rate limit", &[RATE_LIMIT]),
    ("rate limit by client", &[RATE_LIMIT_BY_CLIENT]),
    ("concurrency", &[CONCURRENCY]),
    ("breaker", &[BREAKER]),
    ("retry", &[RETRY]),
    ("hedge", &[HEDGE]),
    ("fallback", &[FALLBACK]),
    ("all five", &[TIMEOUTS, RATE_LIMIT_BY_CLIENT, CONCURRENCY, BREAKER, RETRY]),
    ("all seven", &[TIMEOUTS, RATE_LIMIT_BY_CLIENT, CONCURRENCY, BREAKER, RETRY, HEDGE, FALLBACK]),
];

const TIMEOUTS: &str = "timeout = \"2s\"\nattempt_timeout = \"600ms\"";
const RATE_LIMIT: &str =
    "rate_limit = { algorithm = \"token-bucket\", rate = \"10000000/s\", burst = 1000000 }";
const RATE_LIMIT_BY_CLIENT: &str = "rate_limit = { algorithm = \"token-bucket\", rate = \"10000000/s\", burst = 1000000, key = \"client-ip\" }";
const CONCURRENCY: &str = "concurrency = { max = 100000 }";
const BREAKER: &str = "breaker = { per = \"upstream\" }";
const RETRY: &str = "retry = { attempts = 3 }";
// It watches every call, and sends none of them twice: there is one endpoint.
const HEDGE: &str = "hedge = { delay = \"p95\" }";
const FALLBACK: &str = "fallback = { status = 200, body = \"[]\" }";

/// Measures the proxy with every policy.
pub(super) fn run(options: &Options) -> Result<(), String> {
    need_tools()?;
    material::make()?;
    let engine = if options.brief { Vec::new() } else { engine()? };
    let mut bench = Bench::new()?;
    let place = Place::before(bench.origin());
    let bare = LOCUM_BARE.ready()?;
    let wanted = POLICIES.iter().filter(|(name, _)| options.wants_peer(name));
    let wanted = wanted.map(|(name, parts)| {
        let server = Server { name, config: Some("proxy/policy.toml"), ..LOCUM_BARE };
        let place = Place { more: vec![("policy", parts.join("\n"))], ..place.clone() };
        Ok((server.only_plain().ready()?, place))
    });
    let wanted: Vec<_> = wanted.collect::<Result<_, String>>()?;
    let start = || {
        let others = wanted.iter().map(|(ready, place)| Peer::start(ready, place));
        Ok((Peer::start(&bare, &place)?, others.collect::<Result<_, _>>()?))
    };
    let rounds = if options.brief { 1 } else { ROUNDS };
    let series = beside::measure(&mut bench, start, &[&SCENARIOS[0]], rounds)?;

    let legend = beside::legend("the proxy without a policy", rounds, bench.runs());
    let mut rows = beside::rows(&series);
    rows.extend(engine.iter().map(Estimate::row));
    let results = Results {
        name: "policies",
        title: "What policies cost",
        versions: vec![LOCUM_BARE.program.version(), package_version("wrk")],
        tables: format!(
            "One worker, on core 0; the origin and wrk on core 1. The proxies are started anew for each round.\n\
             {legend}{}{}",
            beside::table(&series, "none"),
            table(&engine),
        ),
        rows,
    };
    results.tell(options, bench.judge())
}

/// What criterion found a call to take, without a network.
struct Estimate {
    /// As `run/all five`.
    name: String,
    nanoseconds: f64,
}

impl Estimate {
    fn row(&self) -> Row {
        Row::default().text("engine", &self.name).number("ns", self.nanoseconds)
    }
}

/// Has criterion measure, and reads what it found.
fn engine() -> Result<Vec<Estimate>, String> {
    // What is there of other times, and of other benchmarks, is not asked for.
    let root = target().join("bench-policies");
    drop(fs::remove_dir_all(&root));
    let step = Step::new("policies around one call");
    step.run(super::criterion().env("CRITERION_HOME", &root))?;
    let mut found = Vec::new();
    collect(&root, &root, &mut found).map_err(|error| format!("{}: {error}", root.display()))?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Criterion leaves `NAME/new/estimates.json` for everything that it measured.
fn collect(root: &Path, directory: &Path, found: &mut Vec<Estimate>) -> std::io::Result<()> {
    let file = directory.join("new/estimates.json");
    if let Ok(text) = fs::read_to_string(&file) {
        let name = directory.strip_prefix(root).unwrap_or(directory).display().to_string();
        found.extend(mean(&text).map(|nanoseconds| Estimate { name, nanoseconds }));
        return Ok(());
    }
    let below: Vec<PathBuf> =
        fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    below.iter().filter(|path| path.is_dir()).try_for_each(|path| collect(root, path, found))
}

/// The estimate of the mean in what criterion wrote.
fn mean(estimates: &str) -> Option<f64> {
    let (_, mean) = estimates.split_once("\"mean\":")?;
    let (_, value) = mean.split_once("\"point_estimate\":")?;
    value.split([',', '}']).next()?.trim().parse().ok()
}

fn table(engine: &[Estimate]) -> String {
    if engine.is_empty() {
        return String::new();
    }
    let mut text = "\n## Around a call that is answered at once, by criterion\n\n\
                    | what | ns a call |\n|---|--:|\n"
        .to_owned();
    for one in engine {
        let _ = writeln!(text, "| {} | {:.1} |", one.name, one.nanoseconds);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_criterion_wrote_is_read() {
        let estimates = r#"{"mean":{"confidence_interval":{"lower_bound":1.0},"point_estimate":2.5,"standard_error":0.1},"median":{"point_estimate":3.0}}"#;
        assert_eq!(mean(estimates), Some(2.5));
    }
}
