//! `cargo xtask bench proxy`: the data path beside nginx and HAProxy.
//!
//! The proxy under measurement has core 0; the origin and the load are on core 1. What is compared
//! is processor time per request, which does not depend on how fast the other core is. Machines
//! drift, so nginx is measured before and after every other proxy, and a ratio is taken to the
//! mean of the two.

mod idle;
mod load;
mod material;
mod peer;
mod report;
mod rpc;
mod scenario;
mod tool;

pub(crate) use rpc::{rpc, rpc_proxy};

use crate::process::{Step, cargo};
use crate::setup;

use load::{Bench, Measured};
use peer::{HAPROXY, LOCUM_ALL, LOCUM_BARE, NGINX, Peer};
use scenario::{SCENARIOS, Scenario};

/// How often everything is measured.
const ROUNDS: usize = 4;

/// One proxy in one scenario: every run of it, each beside the mean of the
/// reference's two runs around it.
struct Series {
    name: &'static str,
    scenario: &'static str,
    runs: Vec<(Measured, Measured)>,
}

/// Measures, prints the tables and writes them to `bench/results/`. Briefly: one round, which shows that all
/// works, and is not written.
pub(crate) fn proxy(briefly: bool) -> Result<(), String> {
    setup::need_allocator()?;
    setup::need(&[
        ("nginx", "nginx-light"),
        ("haproxy", "haproxy"),
        ("wrk", "wrk"),
        ("h2load", "nghttp2-client"),
        ("openssl", "openssl"),
        ("taskset", "util-linux"),
    ])?;
    build_program()?;
    material::make()?;

    let mut bench = Bench::new()?;
    let reference = Peer::start(&NGINX, bench.origin())?;
    let others = [
        Peer::start(&HAPROXY, bench.origin())?,
        Peer::start(&LOCUM_ALL, bench.origin())?,
        Peer::start(&LOCUM_BARE, bench.origin())?,
    ];
    let rounds = if briefly { 1 } else { ROUNDS };
    let mut series = Vec::new();
    for scenario in &SCENARIOS {
        series.extend(measure(&mut bench, &reference, &others, scenario, rounds)?);
    }
    drop((reference, others));

    let memory = idle::all(bench.origin())?;
    report::tell(&series, &memory, bench.runs(), !briefly)
}

fn build_program() -> Result<(), String> {
    const BUILD: &str = "build --quiet --release --locked --package locum-cli --bin locum";
    Step::new("build the program").run(&mut cargo(&BUILD.split(' ').collect::<Vec<_>>()))
}

/// Measures everyone in this scenario, round by round.
fn measure(
    bench: &mut Bench,
    reference: &Peer,
    others: &[Peer],
    scenario: &Scenario,
    rounds: usize,
) -> Result<Vec<Series>, String> {
    let everyone = std::iter::once(reference).chain(others);
    let empty = |peer: &Peer| Series { name: peer.name, scenario: scenario.name, runs: Vec::new() };
    let mut series: Vec<_> = everyone.map(empty).collect();
    for round in 1..=rounds {
        let step = Step::new(&format!("{}, round {round} of {rounds}", scenario.name));
        let mut before = bench.run(reference, scenario)?;
        for (series_of, peer) in (1..).zip(others) {
            let run = bench.run(peer, scenario)?;
            let after = bench.run(reference, scenario)?;
            let around = before.mean(&after);
            series[series_of].runs.push((run, around.clone()));
            series[0].runs.push((after.clone(), around));
            before = after;
        }
        step.done();
    }
    Ok(series)
}
