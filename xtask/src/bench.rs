//! `cargo xtask bench NAME`: what Locum costs, beside what others cost.
//!
//! Every benchmark prints its tables and writes them to `bench/results/`, with every run as JSON;
//! `report` draws `bench/REPORT.md` from the newest of these. What is under measurement has core 0, and all
//! else core 1.

mod arith;
mod beside;
mod counts;
mod io;
mod latency;
mod load;
mod material;
mod memory;
mod open;
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
mod train;

use std::process::Command;

pub(crate) use counts::counts;
pub(crate) use train::train;

use crate::dist;
use crate::process::{Step, cargo, root};
use crate::setup;

use options::{Options, Part};

/// A benchmark, by its name.
struct Benchmark {
    name: &'static str,
    /// What it can be asked for a part by.
    parts: &'static [Part],
    run: fn(&Options) -> Result<(), String>,
}

const fn benchmark(
    name: &'static str,
    parts: &'static [Part],
    run: fn(&Options) -> Result<(), String>,
) -> Benchmark {
    Benchmark { name, parts, run }
}

/// In the order in which `all` runs them.
const BENCHMARKS: [Benchmark; 8] = [
    benchmark("proxy", &[Part::Only, Part::Peers], proxy::run),
    benchmark("io", &[Part::Only, Part::Peers], io::run),
    benchmark("latency", &[Part::Only, Part::Peers], latency::run),
    benchmark("memory", &[Part::Only, Part::Peers], memory::run),
    benchmark("policies", &[Part::Peers], policies::run),
    benchmark("scale", &[Part::Only], scale::run),
    benchmark("rpc", &[Part::Only], rpc::run),
    benchmark("rpc-proxy", &[], rpc::proxied),
];

/// Runs the benchmark of that name, or all and the report.
pub(crate) fn run(name: &str, options: &[&str]) -> Result<(), String> {
    if name == "report" {
        return report();
    }
    let options = Options::parse(options)?;
    if name == "all" {
        return all(&options);
    }
    let Some(benchmark) = BENCHMARKS.iter().find(|benchmark| benchmark.name == name) else {
        let known: Vec<_> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
        return Err(format!("`{name}` is not a benchmark; they are {}, all", known.join(", ")));
    };
    options.allow(name, benchmark.parts)?;
    release(&options)?;
    (benchmark.run)(&options)
}

fn all(options: &Options) -> Result<(), String> {
    options.allow("all", &[])?;
    release(options)?;
    // One that fails does not take the others' results with it.
    let failure = |benchmark: &Benchmark| {
        let why = (benchmark.run)(options).err()?;
        println!("==> {} FAILED: {why}", benchmark.name);
        Some(format!("{}: {why}", benchmark.name))
    };
    let mut failures: Vec<_> = BENCHMARKS.iter().filter_map(failure).collect();
    if options.is_whole() {
        failures.extend(report().err());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n  ")) }
}

/// Results that are kept are those of the program as it is released.
fn release(options: &Options) -> Result<(), String> {
    if options.is_whole() && dist::fresh().is_none() {
        dist::dist()?;
    }
    Ok(())
}

/// Draws `bench/REPORT.md` from the newest results.
fn report() -> Result<(), String> {
    let program = program::build_workspace("report")?.join("locum-bench-report");
    Step::new("draw bench/REPORT.md").run(Command::new(program).arg(root().join("bench")))
}

/// What the policies around one call cost, without a network.
pub(crate) fn engine() -> Result<(), String> {
    setup::need_allocator()?;
    Step::new("policies around one call").run(&mut criterion())
}

fn criterion() -> Command {
    cargo(&["bench", "--package", "locum-policy"])
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
