//! `cargo xtask bench rpc-proxy`: remote calls through Locum, which takes each by itself, beside HAProxy,
//! which passes bytes on, and nothing in between.
//!
//! The proxy has core 0; the server and the load share core 1, with a proxy and without. What a call costs
//! is the processor time of each process, taken over the very window in which calls are counted. Ways and
//! loads take turns, round by round, and medians are told.

mod report;

use std::collections::BTreeMap;

use super::system::{self, Measured, Programs, Server};
use super::{ROUNDS, Shape, build};
use crate::bench::need_tools;
use crate::bench::options::Options;
use crate::bench::peer::{Peer, Place};
use crate::bench::server::{HAPROXY_TCP, LOCUM_RPC, REST};
use crate::process::Step;
use crate::setup;

/// The servers, and how they are started: Go's, and one of ours that costs next to nothing, so that the
/// proxy is what there is to see.
const SERVERS: [(&str, &[&str]); 2] =
    [("Go", &["go", "serve", "gob"]), ("locum", &["rust", "serve", "locum", "single"])];

/// How a call gets to the server.
const WAYS: [&str; 3] = ["none", HAPROXY_TCP.name, LOCUM_RPC.name];

/// A client, and how many callers it has on how many connections. Go's writes every call by itself; ours
/// writes what its callers have for it in one go.
#[derive(Clone, Copy)]
struct Load {
    client: &'static str,
    words: &'static [&'static str],
    callers: usize,
    connections: usize,
}

const fn go(callers: usize, connections: usize) -> Load {
    Load { client: "Go", words: &["go", "load", "gob"], callers, connections }
}

const fn ours(callers: usize, connections: usize) -> Load {
    Load { client: "locum", words: &["rust", "load", "gob", "single"], callers, connections }
}

const LOADS: [Load; 5] = [go(64, 1), go(64, 8), go(256, 1), ours(64, 1), ours(512, 1)];

/// The runs of each server (in [`SERVERS`]) under each load (in [`LOADS`]) over each way (in [`WAYS`]).
type Runs = BTreeMap<(usize, usize, usize), Vec<Measured>>;

/// One server, and all ways to it.
struct Site {
    server: Server,
    haproxy: Peer,
    locum: Peer,
}

/// Measures all ways. Briefly is shorter as well.
pub(in crate::bench) fn run(options: &Options) -> Result<(), String> {
    need_tools()?;
    setup::need(&[("capnp", "capnproto")])?;
    let programs = build()?;
    let sites = SERVERS.iter().map(|(_, words)| Site::open(&programs, words));
    let sites: Vec<_> = sites.collect::<Result<_, _>>()?;
    let (rounds, warm_up, measured) =
        if options.brief { (1, 100, 200) } else { (ROUNDS, 300, 1000) };
    let mut runs = Runs::new();
    for round in 1..=rounds {
        let step = Step::new(&format!("round {round} of {rounds}"));
        for (server, site) in sites.iter().enumerate() {
            for (at, load) in LOADS.iter().enumerate() {
                for way in 0..WAYS.len() {
                    let run = site.run(&programs, way, load, (warm_up, measured))?;
                    runs.entry((server, at, way)).or_default().push(run);
                }
            }
        }
        step.done();
    }
    drop(sites);
    report::results(&runs, rounds).tell(options, Ok(()))
}

impl Site {
    fn open(programs: &Programs, words: &[&str]) -> Result<Self, String> {
        let server = system::start(programs, REST, words)?;
        let origin = server.address.parse();
        let origin = origin.map_err(|error| format!("{}: {error}", server.address))?;
        let place = Place::before(origin);
        let haproxy = Peer::start(&HAPROXY_TCP.ready()?, &place)?;
        let locum = Peer::start(&LOCUM_RPC.ready()?, &place)?;
        Ok(Self { server, haproxy, locum })
    }

    fn run(
        &self,
        programs: &Programs,
        way: usize,
        load: &Load,
        times: (u32, u32),
    ) -> Result<Measured, String> {
        let Self { server, haproxy, locum } = self;
        let proxy = [None, Some(haproxy), Some(locum)][way];
        let shape = Shape { bytes: 8, callers: load.callers, connections: load.connections };
        let (address, processes) = match proxy {
            None => (server.address.clone(), server.id().to_string()),
            Some(proxy) => (proxy.address.to_string(), format!("{}+{}", proxy.id(), server.id())),
        };
        let run = system::load(programs, load.words, (&address, &processes), &shape, times);
        let run = run.map_err(|why| format!("{} through {}: {why}", load.client, WAYS[way]))?;
        Ok(match proxy {
            // Without a proxy it is the server that is called.
            None => Measured { server: 0.0, behind: run.server, ..run },
            Some(_) => run,
        })
    }
}
