//! `cargo xtask bench proxy`: the data path beside other proxies.
//!
//! The proxy under measurement has core 0; the origin and the load are on core 1. What is compared
//! is processor time per request, which does not depend on how fast the other core is.

use super::beside;
use super::load::Bench;
use super::material;
use super::options::Options;
use super::peer::{Peer, Place};
use super::program::package_version;
use super::results::Results;
use super::scenario::SCENARIOS;
use super::server::{NGINX, PEERS, gather};
use super::{need_tools, rounds};

/// Measures everybody in every scenario.
pub(super) fn run(options: &Options) -> Result<(), String> {
    need_tools()?;
    material::make()?;
    let mut bench = Bench::new()?;
    let place = Place::before(bench.origin());
    let wanted: Vec<_> =
        PEERS.into_iter().filter(|server| options.wants_peer(server.name)).collect();
    let ready = gather(&wanted);
    let nginx = NGINX.ready()?;
    let start = || Ok((Peer::start(&nginx, &place)?, Peer::start_all(&ready, &place)));
    let scenarios: Vec<_> =
        SCENARIOS.iter().filter(|scenario| options.wants_scenario(&scenario.name)).collect();
    let series = beside::measure(&mut bench, start, &scenarios, rounds(options))?;

    let mut versions = vec![NGINX.program.version()];
    versions.extend(super::versions(&ready));
    versions.extend(["wrk", "nghttp2-client"].map(package_version));
    let legend = beside::legend(NGINX.name, rounds(options), bench.runs());
    let results = Results {
        name: "proxy",
        title: "The data path beside other proxies",
        versions,
        tables: format!(
            "One worker each, on core 0; the origin (nginx, 1 KiB from memory) and the load (wrk, for\n\
             HTTP/2 h2load) on core 1. Kept connections on both sides, where nothing else is said.\n\
             All but the origin are started anew for each round. {legend}{}",
            beside::table(&series, NGINX.name),
        ),
        rows: beside::rows(&series),
    };
    results.tell(options, bench.judge())
}
