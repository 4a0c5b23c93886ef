//! `cargo xtask bench memory`: what connections cost that made one request and then nothing.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::load::Bench;
use super::material;
use super::need_tools;
use super::options::Options;
use super::peer::{Peer, Place};
use super::program::build_workspace;
use super::results::{Results, Row};
use super::server::{NGINX, PEERS, REST, Ready, gather};
use crate::process::{Step, output, skipped};

/// How many, each with servers of their own.
const COUNTS: [usize; 4] = [100, 1_000, 10_000, 50_000];

/// What allocators and collectors are given before anybody looks.
const SETTLE: Duration = Duration::from_secs(2);

/// Of a server, in KiB.
#[derive(Clone, Copy)]
struct Memory {
    resident: f64,
    /// Of what it shares with others, its part.
    proportional: f64,
}

struct Measured {
    server: &'static str,
    count: usize,
    /// With one connection.
    at_rest: Memory,
    with_them: Memory,
}

/// Measures everybody with every count. Briefly: the two smallest.
pub(super) fn run(options: &Options) -> Result<(), String> {
    need_tools()?;
    material::make()?;
    let load = build_workspace("load")?.join("locum-bench-load");
    let bench = Bench::new()?;
    let servers: Vec<_> = std::iter::once(NGINX)
        .chain(PEERS)
        .filter(|server| options.wants_peer(server.name))
        .collect();
    let ready = gather(&servers);
    let counts = if options.brief { &COUNTS[..2] } else { &COUNTS };
    let mut all = Vec::new();
    for &count in counts.iter().filter(|count| options.wants_scenario(&count.to_string())) {
        let place = Place { connections: count + 1_000, ..Place::before(bench.origin()) };
        if let Err(why) = allowed(place.descriptors()) {
            skipped(&format!("{count} connections"), &why);
            continue;
        }
        for ready in &ready {
            match measure(ready, &place, &load, count) {
                Ok(measured) => all.push(measured),
                Err(why) => skipped(&format!("{} with {count}", ready.server.name), &why),
            }
        }
    }
    let results = Results {
        name: "memory",
        title: "What idle connections cost",
        versions: super::versions(&ready),
        tables: tables(&all),
        rows: all.iter().map(Measured::row).collect(),
    };
    results.tell(options, Ok(()))
}

/// Whether processes may have so many descriptors.
fn allowed(descriptors: usize) -> Result<(), String> {
    let limit = format!("--nofile={descriptors}");
    output("prlimit", &[&limit, "true"])
        .map(drop)
        .ok_or_else(|| format!("a process may not have {descriptors} descriptors (ulimit -Hn)"))
}

fn measure(ready: &Ready, place: &Place, load: &Path, count: usize) -> Result<Measured, String> {
    let name = ready.server.name;
    let step = Step::new(&format!("{name} with {count} idle connections"));
    let peer = Peer::start(ready, place)?;
    let mut clients = Clients::start(load, peer.address, count, place.descriptors())?;
    thread::sleep(SETTLE);
    let at_rest = memory(&peer)?;
    clients.open()?;
    thread::sleep(SETTLE);
    let with_them = memory(&peer)?;
    step.done();
    Ok(Measured { server: name, count, at_rest, with_them })
}

/// The process that holds the connections. Dropping it ends it and them.
struct Clients {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Clients {
    /// Opens the first one.
    fn start(
        program: &Path,
        address: SocketAddr,
        count: usize,
        descriptors: usize,
    ) -> Result<Self, String> {
        let mut process = Command::new("prlimit")
            .arg(format!("--nofile={descriptors}"))
            .args(["taskset", "-c", REST])
            .arg(program)
            .arg("idle")
            .args([address.to_string(), count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the connections: {error}"))?;
        let lines = BufReader::new(process.stdout.take().ok_or("no output")?);
        let mut clients = Self { process, lines };
        clients.wait()?;
        Ok(clients)
    }

    /// Opens the others.
    fn open(&mut self) -> Result<(), String> {
        let input = self.process.stdin.as_mut().ok_or("no input")?;
        input.write_all(b"\n").map_err(|error| format!("the connections: {error}"))?;
        self.wait()
    }

    /// Until it says that they are open.
    fn wait(&mut self) -> Result<(), String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(n) if n > 0 => Ok(()),
            _ => Err("connections could not be opened; see above".to_owned()),
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn memory(peer: &Peer) -> Result<Memory, String> {
    let file = format!("/proc/{}/smaps_rollup", peer.id());
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let of = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok())
            .ok_or_else(|| format!("{file} has no {label}"))
    };
    Ok(Memory { resident: of("Rss:")?, proportional: of("Pss:")? })
}

impl Measured {
    /// Bytes for each connection, of what is resident.
    fn each(&self) -> f64 {
        let more = (self.with_them.resident - self.at_rest.resident).max(0.0);
        more * 1024.0 / (self.count - 1) as f64
    }

    fn row(&self) -> Row {
        Row::default()
            .text("proxy", self.server)
            .number("connections", self.count as f64)
            .number("rest_rss_kib", self.at_rest.resident)
            .number("rest_pss_kib", self.at_rest.proportional)
            .number("rss_kib", self.with_them.resident)
            .number("pss_kib", self.with_them.proportional)
            .number("bytes_each", self.each())
    }
}

fn tables(all: &[Measured]) -> String {
    let mut text = format!(
        "Connections that made one request each and then nothing, from a process of their own. Each server afresh\n\
         for each count, with room for 1,000 more; {} s after the first connection, and after the last.\n\
         RSS counts shared pages whole, PSS by their part; bytes each are of RSS.\n",
        SETTLE.as_secs()
    );
    let mut count = 0;
    for one in all {
        if one.count != count {
            count = one.count;
            let _ = write!(
                text,
                "\n## {count} connections\n\n\
                 | proxy | RSS MiB with one | RSS MiB | PSS MiB | bytes each |\n\
                 |---|--:|--:|--:|--:|\n"
            );
        }
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.1} | {:.1} | {:.0} |",
            one.server,
            one.at_rest.resident / 1024.0,
            one.with_them.resident / 1024.0,
            one.with_them.proportional / 1024.0,
            one.each(),
        );
    }
    text
}
