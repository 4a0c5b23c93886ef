//! `cargo xtask bench io`: what another way to the kernel gives.
//!
//! One loop, no more than a proxy must do, on epoll and on io_uring, beside nginx and the proxy without policies.

use super::beside;
use super::load::Bench;
use super::material;
use super::need_tools;
use super::options::Options;
use super::peer::{Peer, Place};
use super::program::package_version;
use super::results::Results;
use super::scenario::{Port, SCENARIOS, Scenario};
use super::server::{LOCUM_BARE, LOOPS, NGINX, Server, gather};

/// With two scenarios of five servers it is done in three minutes.
const ROUNDS: usize = 3;

/// Measures all of them with few kept connections and with many.
pub(super) fn run(options: &Options) -> Result<(), String> {
    need_tools()?;
    material::make()?;
    let rounds = if options.brief { 1 } else { ROUNDS };
    let mut bench = Bench::new()?;
    let place = Place::before(bench.origin());
    let others = LOOPS.into_iter().chain([LOCUM_BARE]);
    let wanted: Vec<Server> = others.filter(|server| options.wants_peer(server.name)).collect();
    let wanted: Vec<_> = wanted.into_iter().map(Server::only_plain).collect();
    let ready = gather(&wanted);
    let nginx = NGINX.only_plain().ready()?;
    let start = || Ok((Peer::start(&nginx, &place)?, Peer::start_all(&ready, &place)));
    let scenarios: Vec<_> = SCENARIOS
        .iter()
        .filter(|scenario| is_plain(scenario) && options.wants_scenario(&scenario.name))
        .collect();
    let series = beside::measure(&mut bench, start, &scenarios, rounds)?;

    let mut versions = vec![NGINX.program.version()];
    versions.extend(super::versions(&ready));
    versions.push(package_version("wrk"));
    let legend = beside::legend(NGINX.name, rounds, bench.runs());
    let results = Results {
        name: "io",
        title: "Epoll beside io_uring",
        versions,
        tables: format!(
            "One thread each, on core 0; the origin and wrk on core 1; connections are kept on both sides. A loop knows of\n\
             a head only its end and of a body only its length: what differs is the way to the kernel. All but the\n\
             origin are started anew for each round. {legend}{}",
            beside::table(&series, NGINX.name),
        ),
        rows: beside::rows(&series),
    };
    results.tell(options, bench.judge())
}

/// Whether it is one of kept connections in the clear, with small answers.
fn is_plain(scenario: &Scenario) -> bool {
    scenario.port == Port::Plain && ["64 connections", "512 connections"].contains(&&*scenario.name)
}
