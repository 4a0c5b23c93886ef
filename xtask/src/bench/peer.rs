//! A running server: a pinned process with a configuration from `bench/`.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::scenario::Port;
use super::server::{Ready, Server};
use crate::process::{root, skipped, target};

/// What a server is told beside its own ports.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What stands behind it.
    pub(super) origin: SocketAddr,
    /// How many clients it has to have room for.
    pub(super) connections: usize,
    /// What has it go before everything else that wants its core, if it does.
    pub(super) first: &'static [&'static str],
    /// What else its configuration has a place for, by name.
    pub(super) more: Vec<(&'static str, String)>,
}

impl Place {
    pub(super) fn before(origin: SocketAddr) -> Self {
        Self { origin, connections: 18_000, first: &[], more: Vec::new() }
    }

    /// What a server may have open. Only few of its clients are served at the same time, and take two.
    pub(super) fn descriptors(&self) -> usize {
        self.connections + 2_000
    }
}

/// A running server. Dropping it ends it.
pub(super) struct Peer {
    pub(super) name: &'static str,
    ports: &'static [Port],
    pub(super) address: SocketAddr,
    /// Where it takes HTTP/2 in the clear, if its configuration says so.
    pub(super) http2: SocketAddr,
    /// Where it takes HTTP/1.1 and HTTP/2 under TLS, if its configuration says so.
    pub(super) tls: SocketAddr,
    /// Its own configuration, if it takes one.
    pub(super) config: Option<PathBuf>,
    /// What it says of itself.
    pub(super) log: PathBuf,
    process: Child,
}

impl Peer {
    /// Starts the server and waits until it listens.
    pub(super) fn start(ready: &Ready, place: &Place) -> Result<Self, String> {
        // A port that was free may be somebody's connection by the time that the server asks for it.
        let start = || Self::start_once(ready, place);
        start().or_else(|_| start()).or_else(|_| start())
    }

    fn start_once(ready: &Ready, place: &Place) -> Result<Self, String> {
        let Ready { server, program } = ready;
        let directory = target().join("bench-proxy");
        fs::create_dir_all(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let [address, http2, tls] = [free_address()?, free_address()?, free_address()?];
        // What is asked for stands before what is usual.
        let mut known = place.more.clone();
        known.extend([
            ("port", address.port().to_string()),
            ("http2", http2.port().to_string()),
            ("tls", tls.port().to_string()),
            ("origin", place.origin.port().to_string()),
            ("connections", place.connections.to_string()),
            ("descriptors", place.descriptors().to_string()),
            ("directory", directory.display().to_string()),
            ("kibibyte", "x".repeat(1024)),
            ("bind", Ipv4Addr::LOCALHOST.to_string()),
            ("program", program.display().to_string()),
        ]);
        known.extend(server.program.shows().map(|name| ("crate", name.to_owned())));
        // Of several that run, each has its own.
        let config = server.config.map(|template| {
            let config = format!("{}-{}", address.port(), template.replace('/', "-"));
            (template, directory.join(config))
        });
        if let Some((template, config)) = &config {
            configure(config, template, &known)?;
            known.push(("config", config.display().to_string()));
        }
        let words: Vec<_> = server.words.iter().map(|word| fill(word, &known)).collect();
        let log = directory.join(format!("{}.log", address.port()));
        let process = spawn(server, &words, place, &log)
            .map_err(|error| format!("{}: {error}", server.name))?;
        let config = config.map(|(_, config)| config);
        let (name, ports) = (server.name, server.ports);
        let mut peer = Self { name, ports, address, http2, tls, config, log, process };
        peer.wait_until_it_listens().map_err(|why| format!("{why}; see {}", peer.log.display()))?;
        Ok(peer)
    }

    /// Starts those that can be started, and says of the others why not.
    pub(super) fn start_all(all: &[Ready], place: &Place) -> Vec<Self> {
        let started = all.iter().filter_map(|ready| match Self::start(ready, place) {
            Ok(peer) => Some(peer),
            Err(why) => {
                skipped(ready.server.name, &why);
                None
            }
        });
        started.collect()
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn end(mut self) -> Result<(), String> {
        let kill = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        kill.map_err(|error| format!("kill: {error}"))?;
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{} ended with {status}", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it takes what is asked there.
    pub(super) fn listens(&self, port: Port) -> bool {
        self.ports.contains(&port)
    }

    /// Processor time so far in seconds, all threads together.
    pub(super) fn processor_time(&self) -> Result<f64, String> {
        let tasks = format!("/proc/{}/task", self.process.id());
        let tasks = fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
        let nanoseconds = tasks.filter_map(|task| {
            let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        });
        Ok(nanoseconds.sum::<u64>() as f64 / 1e9)
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        for _ in 0..6000 {
            let listens = |port: &Port| TcpStream::connect(self.at(*port)).is_ok();
            if self.ports.iter().all(listens) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("{} ended with {status}", self.name));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{} does not listen at {}", self.name, self.address))
    }

    /// Where it is asked.
    pub(super) fn at(&self, port: Port) -> SocketAddr {
        match port {
            Port::Plain => self.address,
            Port::PlainHttp2 => self.http2,
            Port::Tls => self.tls,
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What runs what follows it before everything else that wants its core; nothing, if that is not allowed.
pub(super) fn first() -> &'static [&'static str] {
    let allowed =
        Command::new("chrt").args(["--fifo", "10", "true"]).stderr(Stdio::null()).status();
    if allowed.is_ok_and(|status| status.success()) { &["chrt", "--fifo", "10"] } else { &[] }
}

/// Writes a configuration of which all places are filled.
fn configure(to: &Path, template: &str, known: &[(&'static str, String)]) -> Result<(), String> {
    let from = root().join("bench").join(template);
    let text = fs::read_to_string(&from).map_err(|error| format!("{}: {error}", from.display()))?;
    fs::write(to, fill(&text, known)).map_err(|error| format!("{}: {error}", to.display()))
}

/// The text with what is known in its places.
fn fill(text: &str, known: &[(&'static str, String)]) -> String {
    let fill = |text: String, (name, is): &(&str, String)| text.replace(&format!("{{{name}}}"), is);
    known.iter().fold(text.to_owned(), fill)
}

fn spawn(server: &Server, words: &[String], place: &Place, log: &Path) -> io::Result<Child> {
    // Each of them replaces itself by the next, so the process is the server's own; it ends with ours, however
    // that ends.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "prlimit"])
        .arg(format!("--nofile={}", place.descriptors()))
        .args(place.first)
        .args(["taskset", "-c", server.core])
        .args(words)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(log)?)
        .spawn()
}

/// An address of this machine alone, whose port is free on all of its addresses.
pub(super) fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|listener| listener.local_addr())
        .map(|free| SocketAddr::from((Ipv4Addr::LOCALHOST, free.port())))
        .map_err(|error| format!("no free port: {error}"))
}
