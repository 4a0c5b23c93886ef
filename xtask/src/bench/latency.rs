//! `cargo xtask bench latency`: how long requests take under a load that does not wait for answers.
//!
//! Requests are due at random times, the same for everybody, and are counted from when they were due. So many
//! a second as are a part of what nginx carries at most, which is measured first.

use std::fmt::Write as _;
use std::path::Path;

use super::load::Bench;
use super::material;
use super::need_tools;
use super::open::{Open, Said};
use super::options::Options;
use super::peer::{Peer, Place, first, free_address};
use super::program::{build_workspace, package_version};
use super::results::{Results, Row, median};
use super::scenario::SCENARIOS;
use super::server::{ENVOY, HAPROXY, LOCUM_ALL, NGINX, gather};
use crate::process::Step;

const PEERS: [super::server::Server; 4] = [NGINX, HAPROXY, ENVOY, LOCUM_ALL];

/// Hundredths of what nginx carries.
const LOADS: [u32; 9] = [10, 20, 30, 40, 50, 60, 70, 80, 90];
const ROUNDS: usize = 5;
const CONNECTIONS: u32 = 64;

/// One run.
struct Measured {
    peer: &'static str,
    load: u32,
    round: usize,
    /// Requests a second that were due, and that were answered.
    asked: f64,
    answered: f64,
    unanswered: f64,
    /// Latencies in microseconds.
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
    /// How late the load itself was.
    lag99: f64,
    /// Processor time of the proxy, in microseconds a request.
    processor: f64,
}

/// Measures everybody at every load, in turns.
pub(super) fn run(options: &Options) -> Result<(), String> {
    need_tools()?;
    material::make()?;
    let load = build_workspace("load")?.join("locum-bench-load");
    let mut bench = Bench::new()?;
    let (origin, first) = (free_address()?, first());
    let wanted: Vec<_> =
        PEERS.into_iter().filter(|server| options.wants_peer(server.name)).collect();
    let ready = gather(&wanted);
    let peers = Peer::start_all(&ready, &Place { first, ..Place::before(origin) });
    let capacity = capacity(&mut bench, options)?;
    let (rounds, measured) = if options.brief { (1, 500) } else { (ROUNDS, 2_000) };
    let mut all = Vec::new();
    for round in 1..=rounds {
        for share in LOADS.into_iter().filter(|load| options.wants_scenario(&load.to_string())) {
            let rate = capacity * f64::from(share) / 100.0;
            let step = Step::new(&format!("{rate:.0} requests/s, round {round} of {rounds}"));
            for peer in &peers {
                let seed = u64::from(share) + 100 * round as u64;
                let connections = CONNECTIONS;
                let open = Open { origin, first, rate, seed, connections, warm_up: 500, measured };
                let run = match once(&load, peer, open) {
                    Ok(run) => run,
                    Err(why) => {
                        println!("    FAILED: {}: {}", peer.name, why.trim());
                        continue;
                    }
                };
                println!("    {:<20} p50 {:>7.0} us, p99 {:>7.0} us", peer.name, run.p50, run.p99);
                all.push(Measured { load: share, round, ..run });
            }
            step.done();
        }
    }
    drop(peers);

    let mut versions = super::versions(&ready);
    versions.push(package_version("wrk"));
    let results = Results {
        name: "latency",
        title: "Latency against offered load",
        versions,
        tables: tables(&all, capacity, rounds, !first.is_empty()),
        rows: all.iter().map(|run| run.row(capacity)).collect(),
    };
    results.tell(options, Ok(()))
}

/// How many requests nginx answers in a second at most: to 64 clients that ask again at once.
fn capacity(bench: &mut Bench, options: &Options) -> Result<f64, String> {
    let step = Step::new("what nginx carries");
    let nginx = Peer::start(&NGINX.ready()?, &Place::before(bench.origin()))?;
    let runs = if options.brief { 1 } else { 3 };
    let runs = (0..runs).map(|_| Ok(bench.run(&nginx, &SCENARIOS[0])?.rate));
    let runs: Vec<f64> = runs.collect::<Result<_, String>>()?;
    step.done();
    Ok(median(runs.into_iter()))
}

/// Loads the peer once.
fn once(program: &Path, peer: &Peer, load: Open) -> Result<Measured, String> {
    let before = peer.processor_time()?;
    let ended = load.command(program, peer.address).output().map_err(|error| error.to_string())?;
    let processor = peer.processor_time()? - before;
    let said = Said(&ended);
    let of = |name: &str| said.of(name);
    Ok(Measured {
        peer: peer.name,
        load: 0,
        round: 0,
        asked: load.rate,
        answered: of("rate")?,
        unanswered: of("unanswered")?,
        p50: of("p50")?,
        p99: of("p99")?,
        p999: of("p999")?,
        max: of("max")?,
        lag99: of("lag99")?,
        processor: processor / (of("requests")? - of("unanswered")?) * 1e6,
    })
}

impl Measured {
    fn row(&self, capacity: f64) -> Row {
        Row::default()
            .text("proxy", self.peer)
            .number("load_percent", self.load.into())
            .number("nginx_capacity", capacity)
            .number("round", self.round as f64)
            .number("asked", self.asked)
            .number("answered", self.answered)
            .number("unanswered", self.unanswered)
            .number("p50_us", self.p50)
            .number("p99_us", self.p99)
            .number("p999_us", self.p999)
            .number("max_us", self.max)
            .number("lag99_us", self.lag99)
            .number("us", self.processor)
    }
}

fn tables(all: &[Measured], capacity: f64, rounds: usize, first: bool) -> String {
    let first = if first {
        "Both go before everything else that\nwants their core (`SCHED_FIFO`)."
    } else {
        "Neither was allowed to go before what\nelse wants its core (`SCHED_FIFO`), so that the longest latencies are the machine's."
    };
    let mut text = format!(
        "Requests are due at random times (Poisson, by seed), whether or not those before were answered, and counted\n\
         from then on; {CONNECTIONS} connections, and what is due while all are busy waits for one. The proxy on core 0;\n\
         the origin and the load, one thread, on core 1. {first} nginx carried {capacity:.0} requests/s of a closed loop. {rounds}\n\
         rounds, medians. *Late*: 99 of 100 requests for which a connection was free left within so many microseconds\n\
         after they were due; what is no longer than that says nothing of the proxy.\n"
    );
    for load in LOADS {
        let of_load: Vec<_> = all.iter().filter(|run| run.load == load).collect();
        let Some(first) = of_load.first() else { continue };
        let _ = write!(
            text,
            "\n## {load} % of what nginx carries: {:.0} requests/s\n\n\
             | proxy | p50 us | p99 us | p99.9 us | answered/s | proxy us/request | late us |\n\
             |---|--:|--:|--:|--:|--:|--:|\n",
            first.asked
        );
        for peer in PEERS {
            let runs: Vec<_> = of_load.iter().filter(|run| run.peer == peer.name).collect();
            if runs.is_empty() {
                continue;
            }
            let of = |value: fn(&Measured) -> f64| median(runs.iter().map(|run| value(run)));
            let late = of(|run| run.lag99);
            // Where no connection was ever free, nobody knows.
            let late = if late.is_finite() { format!("{late:.0}") } else { "–".to_owned() };
            let _ = writeln!(
                text,
                "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {late} |",
                peer.name,
                of(|run| run.p50),
                of(|run| run.p99),
                of(|run| run.p999),
                of(|run| run.answered),
                of(|run| run.processor),
            );
        }
    }
    text
}
