//! `cargo xtask bench proxy`: the data path beside nginx and HAProxy.
//!
//! The proxy under measurement has core 0; the origin and the load are on core 1. What is compared
//! is processor time per request, which does not depend on how fast the other core is. Machines
//! drift, so nginx is measured before and after every other proxy, and a ratio is taken to the
//! mean of the two.

mod idle;
mod load;
mod peer;
mod report;
mod rpc;

pub(crate) use rpc::{rpc, rpc_proxy};

use crate::process::{Step, cargo};
use crate::setup;

use load::{Bench, Measured};
use peer::{HAPROXY, LOCUM_ALL, LOCUM_BARE, NGINX, Peer};

/// How often everything is measured.
const ROUNDS: usize = 4;
const CONNECTIONS: [u32; 2] = [64, 512];

/// One proxy at one number of connections: every run of it, each beside the mean of the
/// reference's two runs around it.
struct Series {
    name: &'static str,
    connections: u32,
    runs: Vec<(Measured, Measured)>,
}

/// Measures, prints the tables and writes them to `bench/results/`.
pub(crate) fn proxy() -> Result<(), String> {
    setup::need_allocator()?;
    setup::need(&[
        ("nginx", "nginx-light"),
        ("haproxy", "haproxy"),
        ("wrk", "wrk"),
        ("taskset", "util-linux"),
    ])?;
    build_program()?;

    let mut bench = Bench::new()?;
    let reference = Peer::start(&NGINX, bench.origin())?;
    let others = [
        Peer::start(&HAPROXY, bench.origin())?,
        Peer::start(&LOCUM_ALL, bench.origin())?,
        Peer::start(&LOCUM_BARE, bench.origin())?,
    ];
    let mut series = Vec::new();
    for connections in CONNECTIONS {
        series.extend(measure(&mut bench, &reference, &others, connections)?);
    }
    drop((reference, others));

    let memory = idle::all(bench.origin())?;
    report::write(&series, &memory, bench.runs())
}

fn build_program() -> Result<(), String> {
    const BUILD: &str = "build --quiet --release --locked --package locum-cli --bin locum";
    Step::new("build the program").run(&mut cargo(&BUILD.split(' ').collect::<Vec<_>>()))
}

/// Measures everyone at this number of connections, round by round.
fn measure(
    bench: &mut Bench,
    reference: &Peer,
    others: &[Peer],
    connections: u32,
) -> Result<Vec<Series>, String> {
    let everyone = std::iter::once(reference).chain(others);
    let empty = |peer: &Peer| Series { name: peer.name, connections, runs: Vec::new() };
    let mut series: Vec<_> = everyone.map(empty).collect();
    for round in 1..=ROUNDS {
        let step = Step::new(&format!("{connections} connections, round {round} of {ROUNDS}"));
        let mut before = bench.run(reference, connections)?;
        for (series_of, peer) in (1..).zip(others) {
            let run = bench.run(peer, connections)?;
            let after = bench.run(reference, connections)?;
            let around = before.mean(&after);
            series[series_of].runs.push((run, around.clone()));
            series[0].runs.push((after.clone(), around));
            before = after;
        }
        step.done();
    }
    Ok(series)
}
