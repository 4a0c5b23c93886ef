//! One run of wrk against one proxy, and what it cost the proxy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use super::peer::{ORIGIN, Peer, REST};

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
        let nothing = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self { origin: Peer::start(&ORIGIN, nothing)?, repeats: REPEATS, runs: 0, disturbed: 0 })
    }

    /// Where the origin listens.
    pub(super) fn origin(&self) -> SocketAddr {
        self.origin.address
    }

    /// How many runs count, and how many of them were disturbed.
    pub(super) fn runs(&self) -> (usize, usize) {
        (self.runs, self.disturbed)
    }

    /// Measures one proxy; if strangers disturb it, again, but not for ever.
    pub(super) fn run(&mut self, peer: &Peer, connections: u32) -> Result<Measured, String> {
        let mut tries = 3;
        loop {
            let (measured, strangers) = self.once(peer, connections)?;
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

    fn once(&self, peer: &Peer, connections: u32) -> Result<(Measured, f64), String> {
        let spent = || Ok::<_, String>([peer.processor_time()?, self.origin.processor_time()?]);
        let (machine, before, children) = (machine_time()?, spent()?, children_time()?);
        let output = Command::new("taskset")
            .args(["-c", REST, "wrk", "-t1", "--latency"])
            .arg(format!("-c{connections}"))
            .arg(format!("-d{SECONDS}s"))
            .arg(format!("http://{}/", peer.address))
            .output()
            .map_err(|error| format!("wrk: {error}"))?;
        let (machine, after, children) =
            (machine_time()? - machine, spent()?, children_time()? - children);
        let [proxy, origin] = [after[0] - before[0], after[1] - before[1]];
        let strangers = (machine - proxy - origin - children) / f64::from(SECONDS);

        let said = String::from_utf8_lossy(&output.stdout);
        let measured = read(&said, proxy, origin + children)
            .ok_or_else(|| format!("{} under wrk: {said}", peer.name))?;
        Ok((measured, strangers))
    }
}

/// Reads what wrk says. Failed requests spoil a run: it says nothing of working ones.
fn read(said: &str, proxy: f64, rest: f64) -> Option<Measured> {
    if said.contains("Socket errors:") || said.contains("Non-2xx") {
        return None;
    }
    let after =
        |label: &str| said.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let requests: f64 =
        said.lines().find_map(|line| line.trim().split_once(" requests in "))?.0.parse().ok()?;
    Some(Measured {
        processor: proxy / requests * 1e6,
        rest: rest / requests * 1e6,
        rate: after("Requests/sec:")?.parse().ok()?,
        p50: milliseconds(after("50%")?)?,
        p99: milliseconds(after("99%")?)?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (text.strip_suffix("us")?, 0.001),
        _ if text.ends_with("ms") => (text.strip_suffix("ms")?, 1.0),
        _ => (text.strip_suffix('s')?, 1000.0),
    };
    Some(number.parse::<f64>().ok()? * factor)
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

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 3s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.13ms  310.28us   4.28ms   78.28%
    Req/Sec    50.12k     2.10k   53.00k    70.00%
  Latency Distribution
     50%    1.14ms
     75%    1.30ms
     90%    1.52ms
     99%  980.00us
  150000 requests in 3.00s, 170.00MB read
Requests/sec:  50000.00
Transfer/sec:     56.67MB
";

    #[test]
    fn what_wrk_says_is_read() {
        let measured = read(SAID, 3.0, 6.0).unwrap();
        assert_eq!((measured.processor, measured.rest), (20.0, 40.0));
        assert_eq!(measured.rate, 50_000.0);
        assert_eq!((measured.p50, measured.p99), (1.14, 0.98));
    }

    #[test]
    fn a_run_with_failures_is_none() {
        let failed = format!("{SAID}  Non-2xx or 3xx responses: 1\n");
        assert!(read(&failed, 3.0, 6.0).is_none());
    }
}
