//! How long a reload takes when there are many routes, and what requests feel of it.
//!
//! Requests come at random times, whether or not those before were answered. In half of the windows the file
//! changes in one route and the process is told to read it; what the longest request takes is compared.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::each;
use crate::bench::open::{Open, Said};
use crate::bench::options::Options;
use crate::bench::peer::{Peer, Place, free_address};
use crate::bench::results::{Row, median};
use crate::bench::server::{LOCUM_BARE, Ready, Server};
use crate::process::{Step, skipped};

const SIZES: [usize; 3] = [1, 1_000, 10_000];
/// At most so many upstreams, which the routes share.
const UPSTREAMS: usize = 100;
const ROUNDS: usize = 7;
const RATE: f64 = 4_000.0;
const CONNECTIONS: u32 = 4;
/// Milliseconds; a reload begins so long after what counts has begun.
const WARM_UP: u32 = 300;
const WINDOW: u32 = 1_500;
const LEAD: u32 = 200;
/// A reload that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One window with a reload, and the one before it without.
pub(super) struct Measured {
    routes: usize,
    round: usize,
    /// From the signal to the word that the new configuration runs, in milliseconds.
    took: f64,
    reloading: Felt,
    quiet: Felt,
}

/// What requests felt in a window, in microseconds.
struct Felt {
    longest: f64,
    p999: f64,
    /// How late the load itself was at most.
    late: f64,
}

/// The server, ready to be told how many routes it has.
pub(super) fn ready() -> Result<Ready, String> {
    Server { config: Some("proxy/reload.toml"), ..LOCUM_BARE }.only_plain().ready()
}

/// Reloads with every size.
pub(super) fn run(load: &Path, options: &Options) -> Result<Vec<Measured>, String> {
    let ready = ready()?;
    let mut all = Vec::new();
    for routes in SIZES {
        let name = name(routes);
        if !options.wants_scenario(&name) {
            continue;
        }
        let step = Step::new(&name);
        match measure(&ready, load, (routes, rounds(options))) {
            Ok(measured) => all.extend(measured),
            Err(why) => skipped(&name, &why),
        }
        step.done();
    }
    Ok(all)
}

/// Whether any of it is wanted.
pub(super) fn is_wanted(options: &Options) -> bool {
    SIZES.iter().any(|routes| options.wants_scenario(&name(*routes)))
}

fn name(routes: usize) -> String {
    format!("reload of {routes} routes")
}

fn rounds(options: &Options) -> usize {
    if options.brief { 1 } else { ROUNDS }
}

fn measure(
    ready: &Ready,
    load: &Path,
    (routes, rounds): (usize, usize),
) -> Result<Vec<Measured>, String> {
    let origin = free_address()?;
    let more = vec![("routes", table(routes)), ("upstreams", upstreams(routes, origin.port()))];
    let mut server = Reloading {
        peer: Peer::start(ready, &Place { more, ..Place::before(origin) })?,
        load: load.to_owned(),
        origin,
        version: 1,
    };
    let mut all = Vec::new();
    for round in 1..=rounds {
        let seed = (routes + round) as u64;
        let (_, quiet) = server.window(seed, |_| Ok(()))?;
        let (took, reloading) = server.window(seed, Reloading::reload)?;
        println!(
            "    round {round}: {took:>6.1} ms; longest request {:>6.0} us, without {:>6.0} us",
            reloading.longest, quiet.longest
        );
        all.push(Measured { routes, round, took, reloading, quiet });
    }
    Ok(all)
}

/// A server whose configuration changes.
struct Reloading {
    peer: Peer,
    load: PathBuf,
    /// Where it expects what it stands before.
    origin: SocketAddr,
    version: usize,
}

impl Reloading {
    /// A window of requests, in which something happens that takes so many milliseconds.
    fn window(
        &mut self,
        seed: u64,
        happens: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<(f64, Felt), String> {
        let open = Open {
            origin: self.origin,
            first: &[],
            rate: RATE,
            seed,
            connections: CONNECTIONS,
            warm_up: WARM_UP,
            measured: WINDOW,
        };
        let mut command = open.command(&self.load, self.peer.address);
        let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let process = process.map_err(|error| format!("the load: {error}"))?;
        thread::sleep(Duration::from_millis((WARM_UP + LEAD).into()));
        let begun = now();
        let happened = happens(self);
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let ended = process.wait_with_output().map_err(|error| format!("the load: {error}"))?;
        happened?;
        Ok((took, Felt::read(&ended)?))
    }

    /// Changes one route, tells the process, and waits until it says that it runs so.
    fn reload(&mut self) -> Result<(), String> {
        let (old, new) = (change(self.version), change(self.version + 1));
        let file = self.peer.config.as_deref().ok_or("no configuration")?;
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        fs::write(file, text.replace(&old, &new)).map_err(|error| error.to_string())?;
        self.version += 1;
        let told = Command::new("kill").args(["-HUP", &self.peer.id().to_string()]).status();
        told.map_err(|error| format!("kill: {error}"))?;
        let runs = format!("version={}", self.version);
        let until = now() + PATIENCE;
        while now() < until {
            if fs::read_to_string(&self.peer.log).is_ok_and(|log| log.contains(&runs)) {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(500));
        }
        Err(format!("it was not reloaded; see {}", self.peer.log.display()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a reload is timed from outside")]
fn now() -> Instant {
    Instant::now()
}

impl Felt {
    fn read(ended: &Output) -> Result<Self, String> {
        let said = Said(ended);
        if said.of("unanswered")? > 0.0 {
            return Err("requests were not answered".to_owned());
        }
        Ok(Self { longest: said.of("max")?, p999: said.of("p999")?, late: said.of("lagmax")? })
    }
}

/// What is different from one version to the next: of the route that all requests take.
fn change(version: usize) -> String {
    format!("x-version = \"{version}\"")
}

fn table(routes: usize) -> String {
    each(routes, |n| {
        let upstream = n % UPSTREAMS;
        let more = match n {
            0 => format!("request_headers = {{ set = {{ {} }} }}\n", change(1)),
            _ => format!("match = {{ path = \"/r{n}/*\" }}\n"),
        };
        format!("[[routes]]\nname = \"r{n}\"\nupstream = \"u{upstream}\"\n{more}")
    })
}

fn upstreams(routes: usize, origin: u16) -> String {
    each(routes.min(UPSTREAMS), |n| {
        format!("[upstreams.u{n}]\nendpoints = [\"127.0.0.1:{origin}\"]\n")
    })
}

impl Measured {
    pub(super) fn row(&self) -> Row {
        Row::default()
            .text("reloaded", LOCUM_BARE.name)
            .number("routes", self.routes as f64)
            .number("round", self.round as f64)
            .number("reload_ms", self.took)
            .number("longest_us", self.reloading.longest)
            .number("p999_us", self.reloading.p999)
            .number("late_us", self.reloading.late)
            .number("quiet_longest_us", self.quiet.longest)
            .number("quiet_p999_us", self.quiet.p999)
            .number("quiet_late_us", self.quiet.late)
    }
}

/// What it comes to, for each size.
pub(super) fn tables(all: &[Measured]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n## Reloads\n\n\
         One route of many changes, {UPSTREAMS} upstreams at most, while {RATE:.0} requests/s come at random times on {CONNECTIONS} kept\n\
         connections. *Reload*: from the signal to the word that the new configuration runs, with `kill` itself. *Longest*: of\n\
         any request in a window of {WINDOW} ms with a reload in it, and in one as long without. *Late*: how late the load itself\n\
         was at most. The thread that reloads shares core 0 with the worker. Medians, and in brackets the most.\n\n\
         | routes | rounds | reload ms | longest us | without us | p99.9 us | without us | late us | without us |\n\
         |--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for routes in SIZES {
        let runs: Vec<_> = all.iter().filter(|run| run.routes == routes).collect();
        if runs.is_empty() {
            continue;
        }
        let of = |value: fn(&Measured) -> f64| {
            let values = || runs.iter().map(|run| value(run));
            format!("{:.0} ({:.0})", median(values()), values().fold(0.0, f64::max))
        };
        let _ = writeln!(
            text,
            "| {routes} | {} | {} | {} | {} | {} | {} | {} | {} |",
            runs.len(),
            of(|run| run.took),
            of(|run| run.reloading.longest),
            of(|run| run.quiet.longest),
            of(|run| run.reloading.p999),
            of(|run| run.quiet.p999),
            of(|run| run.reloading.late),
            of(|run| run.quiet.late),
        );
    }
    text
}
