//! One run of a load against one proxy, and what it cost the proxy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use super::peer::{Peer, Place};
use super::scenario::Scenario;
use super::server::ORIGIN;
use super::tool;

/// What one run showed.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// Processor time of the proxy, in microseconds a request.
    pub(super) processor: f64,
    /// That of the origin and the load together: how fast the machine was just then.
    pub(super) rest: f64,
    /// Requests a second.
    pub(super) rate: f64,
    /// The latency in milliseconds that half of the requests stay below.
    pub(super) p50: f64,
    /// The latency in milliseconds that 99 of 100 requests stay below.
    pub(super) p99: f64,
}

impl Measured {
    /// Halfway between two runs.
    pub(super) fn mean(&self, other: &Self) -> Self {
        Self {
            processor: f64::midpoint(self.processor, other.processor),
            rest: f64::midpoint(self.rest, other.rest),
            rate: f64::midpoint(self.rate, other.rate),
            p50: f64::midpoint(self.p50, other.p50),
            p99: f64::midpoint(self.p99, other.p99),
        }
    }
}

/// The origin and the load, and how often a run may still be repeated.
pub(super) struct Bench {
    origin: Peer,
    repeats: usize,
    runs: usize,
    disturbed: usize,
}

/// Runs that strangers disturbed are repeated, this often in all.
const REPEATS: usize = 10;
/// Of one core; above it a run counts as disturbed.
const DISTURBANCE: f64 = 0.1;
const SECONDS: u32 = 3;

impl Bench {
    /// Starts the origin.
    pub(super) fn new() -> Result<Self, String> {
        Self::at("127.0.0.1")
    }

    /// Starts the origin at this address.
    pub(super) fn at(bind: &str) -> Result<Self, String> {
        let nothing = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let place = Place { more: vec![("bind", bind.to_owned())], ..Place::before(nothing) };
        let origin = Peer::start(&ORIGIN.ready()?, &place)?;
        Ok(Self { origin, repeats: REPEATS, runs: 0, disturbed: 0 })
    }

    /// Where the origin listens.
    pub(super) fn origin(&self) -> SocketAddr {
        self.origin.address
    }

    /// How many runs count, and how many of them were disturbed.
    pub(super) fn runs(&self) -> (usize, usize) {
        (self.runs, self.disturbed)
    }

    /// Whether the runs are worth keeping: of those on a busy machine most say little.
    pub(super) fn judge(&self) -> Result<(), String> {
        let Self { runs, disturbed, .. } = self;
        if disturbed * 2 > *runs {
            return Err(format!("{disturbed} of {runs} runs were disturbed: nothing is written"));
        }
        Ok(())
    }

    /// Measures one proxy; if strangers disturb it, again, but not for ever.
    pub(super) fn run(&mut self, peer: &Peer, scenario: &Scenario) -> Result<Measured, String> {
        let mut tries = 3;
        loop {
            let (measured, strangers) = self.once(peer, scenario)?;
            println!(
                "    {:<20} {:>6.0} requests/s {:>6.2} us each; strangers used {:.0} % of a core",
                peer.name,
                measured.rate,
                measured.processor,
                strangers * 100.0
            );
            tries -= 1;
            let disturbed = strangers > DISTURBANCE;
            if disturbed && tries > 0 && self.repeats > 0 {
                self.repeats -= 1;
                continue;
            }
            self.runs += 1;
            self.disturbed += usize::from(disturbed);
            return Ok(measured);
        }
    }

    fn once(&self, peer: &Peer, scenario: &Scenario) -> Result<(Measured, f64), String> {
        let spent = || Ok::<_, String>([peer.processor_time()?, self.origin.processor_time()?]);
        let (machine, before, children) = (machine_time()?, spent()?, children_time()?);
        let said = tool::run(scenario, peer, SECONDS)?;
        let (machine, after, children) =
            (machine_time()? - machine, spent()?, children_time()? - children);
        let [proxy, origin] = [after[0] - before[0], after[1] - before[1]];
        let strangers = (machine - proxy - origin - children) / f64::from(SECONDS);
        let measured = Measured {
            processor: proxy / said.requests * 1e6,
            rest: (origin + children) / said.requests * 1e6,
            rate: said.rate,
            p50: said.p50,
            p99: said.p99,
        };
        Ok((measured, strangers))
    }
}

/// Seconds in which any core did anything.
fn machine_time() -> Result<f64, String> {
    let stat = read_file("/proc/stat")?;
    let ticks = stat.lines().next().map(|line| {
        let fields = line.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0.0));
        // user, nice, system, then idle and iowait, then irq, softirq, steal.
        fields.enumerate().filter(|(at, _)| matches!(at, 0..=2 | 5..=7)).map(|(_, t)| t).sum()
    });
    ticks.map(seconds).ok_or_else(|| "/proc/stat is empty".to_owned())
}

/// Seconds that children of ours used that have ended: the load.
fn children_time() -> Result<f64, String> {
    let stat = read_file("/proc/self/stat")?;
    // The name in parentheses may hold spaces; cutime and cstime are fields 16 and 17.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(13).take(2).map(|field| field.parse().unwrap_or(0.0));
    Ok(seconds(ticks.sum()))
}

fn seconds(ticks: f64) -> f64 {
    // USER_HZ is 100 on every architecture that Rust and Debian share.
    ticks / 100.0
}

fn read_file(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
