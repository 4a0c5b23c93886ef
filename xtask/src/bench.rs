//! `cargo xtask bench NAME`: what Locum costs, beside what others cost.
//!
//! Every benchmark prints its tables and writes them to `bench/results/`, with every run as JSON;
//! `report` draws `bench/REPORT.md` from the newest of these. What is under measurement has core 0, and all
//! else core 1.

mod beside;
mod counts;
mod latency;
mod load;
mod material;
mod memory;
mod options;
mod peer;
mod policies;
mod program;
mod proxy;
mod results;
mod rpc;
mod scale;
mod scenario;
mod server;
mod tool;

use std::process::Command;

pub(crate) use counts::counts;

use crate::process::{Step, cargo, root};
use crate::setup;

use options::Options;

/// The benchmarks by their names, in the order in which `all` runs them.
const BENCHMARKS: [(&str, fn(&Options) -> Result<(), String>); 7] = [
    ("proxy", proxy::run),
    ("latency", latency::run),
    ("memory", memory::run),
    ("policies", policies::run),
    ("scale", scale::run),
    ("rpc", rpc::run),
    ("rpc-proxy", rpc::proxied),
];

/// Runs the benchmark of that name, or all.
pub(crate) fn run(name: &str, options: &[&str]) -> Result<(), String> {
    if name == "report" {
        return report();
    }
    let options = Options::parse(options)?;
    let wanted: Vec<_> =
        BENCHMARKS.iter().filter(|(known, _)| name == "all" || name == *known).collect();
    if wanted.is_empty() {
        let known: Vec<_> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        return Err(format!("`{name}` is not a benchmark; they are {}, all", known.join(", ")));
    }
    // One that fails does not take the others' results with it.
    let failures: Vec<_> = wanted
        .iter()
        .filter_map(|(name, run)| Some(format!("{name}: {}", run(&options).err()?)))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n  ")) }
}

/// Draws `bench/REPORT.md` from the newest results.
fn report() -> Result<(), String> {
    let program = program::build_workspace("report")?.join("locum-bench-report");
    Step::new("draw bench/REPORT.md").run(Command::new(program).arg(root().join("bench")))
}

/// What the policies around one call cost, without a network.
pub(crate) fn engine() -> Result<(), String> {
    setup::need_allocator()?;
    Step::new("policies around one call").run(&mut cargo(&["bench", "--package", "locum-policy"]))
}

/// How often everything is measured.
fn rounds(options: &Options) -> usize {
    const ROUNDS: usize = 4;
    if options.brief { 1 } else { ROUNDS }
}

/// What pins processes, and what loads proxies.
fn need_tools() -> Result<(), String> {
    setup::need(&[
        ("taskset", "util-linux"),
        ("setpriv", "util-linux"),
        ("prlimit", "util-linux"),
        ("openssl", "openssl"),
        ("wrk", "wrk"),
        ("h2load", "nghttp2-client"),
    ])
}

/// Those of the servers; several may be of one program.
fn versions(ready: &[server::Ready]) -> Vec<String> {
    let mut versions: Vec<_> = ready.iter().map(|ready| ready.server.program.version()).collect();
    versions.dedup();
    versions
}
