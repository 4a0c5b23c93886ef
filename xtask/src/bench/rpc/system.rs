//! The systems, and one run of one of them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Shape;
use crate::bench::tool::number;

/// A client with a server.
pub(super) struct System {
    pub(super) name: &'static str,
    pub(super) server: &'static str,
    client: &'static [&'static str],
}

/// Each server by its name, and how it is started: `go`, `old-go` and `rust` are the programs.
const SERVERS: [(&str, &[&str]); 13] = [
    ("old go gob", &["old-go", "serve", "gob"]),
    ("go gob", &["go", "serve", "gob"]),
    ("go json", &["go", "serve", "json"]),
    ("locum", &["rust", "serve", "locum", "single"]),
    ("locum paced", &["rust", "serve", "locum", "paced"]),
    ("locum multi", &["rust", "serve", "locum", "multi"]),
    ("tarpc", &["rust", "serve", "tarpc", "single"]),
    ("tarpc multi", &["rust", "serve", "tarpc", "multi"]),
    ("tonic", &["rust", "serve", "tonic", "single"]),
    ("tonic multi", &["rust", "serve", "tonic", "multi"]),
    ("volo", &["rust", "serve", "volo", "single"]),
    ("volo multi", &["rust", "serve", "volo", "multi"]),
    ("capnp", &["rust", "serve", "capnp", "single"]),
];

const fn system(
    name: &'static str,
    server: &'static str,
    client: &'static [&'static str],
) -> System {
    System { name, server, client }
}

pub(super) const SYSTEMS: [System; 24] = [
    system(GO, "go gob", &["go", "load", "gob"]),
    system(OLD_GO, "old go gob", &["old-go", "load", "gob"]),
    system("Go, jsonrpc", "go json", &["go", "load", "json"]),
    system(GO_TO_OURS, "locum", &["go", "load", "gob"]),
    system(OLD_GO_TO_OURS, "locum", &["old-go", "load", "gob"]),
    system("Go to locum, jsonrpc", "locum", &["go", "load", "json"]),
    system("locum to Go, gob", "go gob", &["rust", "load", "gob", "single"]),
    system(GOB, "locum", &["rust", "load", "gob", "single"]),
    system("locum, gob, multi", "locum multi", &["rust", "load", "gob", "multi"]),
    system("locum, jsonrpc", "locum", &["rust", "load", "json-rpc", "single"]),
    system("locum, jsonrpc, multi", "locum multi", &["rust", "load", "json-rpc", "multi"]),
    system(NATIVE, "locum", &["rust", "load", "native", "single"]),
    system("locum, native, multi", "locum multi", &["rust", "load", "native", "multi"]),
    system(TARPC, "tarpc", &["rust", "load", "tarpc", "single"]),
    system("tarpc, multi", "tarpc multi", &["rust", "load", "tarpc", "multi"]),
    system(TONIC, "tonic", &["rust", "load", "tonic", "single"]),
    system("tonic, multi", "tonic multi", &["rust", "load", "tonic", "multi"]),
    system("volo-thrift", "volo", &["rust", "load", "volo", "single"]),
    system("volo-thrift, multi", "volo multi", &["rust", "load", "volo", "multi"]),
    system("capnp-rpc", "capnp", &["rust", "load", "capnp", "single"]),
    system("Go to locum, gob, multi", "locum multi", &["go", "load", "gob"]),
    system(GO_TO_PACED, "locum paced", &["go", "load", "gob"]),
    system(OLD_GO_TO_PACED, "locum paced", &["old-go", "load", "gob"]),
    system("locum, paced, to Go, gob", "go gob", &["rust", "load", "gob", "paced"]),
];

pub(super) const GO: &str = "Go, gob";
pub(super) const GO_TO_OURS: &str = "Go to locum, gob";
pub(super) const GO_TO_PACED: &str = "Go to locum, paced, gob";
pub(super) const OLD_GO: &str = "Debian's Go, gob";
pub(super) const OLD_GO_TO_OURS: &str = "Debian's Go to locum, gob";
pub(super) const OLD_GO_TO_PACED: &str = "Debian's Go to locum, paced, gob";
pub(super) const GOB: &str = "locum, gob";
pub(super) const NATIVE: &str = "locum, native";
pub(super) const TARPC: &str = "tarpc";
pub(super) const TONIC: &str = "tonic";

/// The programs that have all systems.
pub(super) struct Programs {
    pub(super) rust: PathBuf,
    pub(super) go: PathBuf,
    /// The same by the Go that Debian has, which spends more on a call.
    pub(super) old_go: PathBuf,
}

impl Programs {
    pub(super) fn at(target: &Path) -> Self {
        let directory = target.join("bench-rpc");
        Self {
            rust: directory.join("release/locum-bench-rpc"),
            go: directory.join("locum-bench-rpc-go"),
            old_go: directory.join("locum-bench-rpc-old-go"),
        }
    }

    pub(super) fn command(&self, core: &str, words: &[&str]) -> Command {
        let (program, words) = words.split_first().unwrap_or((&"rust", &[]));
        let program = match *program {
            "go" => &self.go,
            "old-go" => &self.old_go,
            _ => &self.rust,
        };
        // `taskset` replaces itself, so the process is the program's own.
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program).args(words).stdin(Stdio::null());
        command
    }
}

/// A running server. Dropping it ends it.
pub(super) struct Server {
    pub(super) address: String,
    process: Child,
}

impl Server {
    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Starts every server.
pub(super) fn start_all(programs: &Programs) -> Result<BTreeMap<&'static str, Server>, String> {
    let servers = SERVERS.iter().map(|(name, words)| Ok((*name, start(programs, "0", words)?)));
    servers.collect()
}

/// Starts the server that these words name on this core.
pub(super) fn start(programs: &Programs, core: &str, words: &[&str]) -> Result<Server, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", words.join(" "));
    let mut command = programs.command(core, words);
    let process = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    // From here on it is ended also when something fails.
    let mut server = Server { address: String::new(), process };
    let output = server.process.stdout.take().ok_or("no output")?;
    BufReader::new(output).read_line(&mut server.address).map_err(failed)?;
    server.address.truncate(server.address.trim_end().len());
    if server.address.is_empty() {
        return Err(format!("{} does not say where it listens", words.join(" ")));
    }
    Ok(server)
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What one run showed: calls a second, latencies and processor time a call in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) server: f64,
    /// Of the server behind it, if it is a proxy.
    pub(super) behind: f64,
    pub(super) client: f64,
}

impl System {
    /// Loads the server, with a warm-up and for so many milliseconds.
    pub(super) fn load(
        &self,
        programs: &Programs,
        server: &Server,
        shape: &Shape,
        warm_up: u32,
        measured: u32,
    ) -> Result<Measured, String> {
        let told = load(
            programs,
            self.client,
            (&server.address, &server.id().to_string()),
            shape,
            (warm_up, measured),
        );
        told.map_err(|why| format!("{}: {why}", self.name))
    }
}

/// Has the client that these words name load who listens there, with a warm-up and for so many
/// milliseconds. `processes` are numbers: the server's, or `PROXY+SERVER`.
pub(super) fn load(
    programs: &Programs,
    client: &[&str],
    (address, processes): (&str, &str),
    shape: &Shape,
    (warm_up, measured): (u32, u32),
) -> Result<Measured, String> {
    let mut command = programs.command("1", client);
    command.arg(address).arg(processes);
    command.args([shape.callers, shape.connections, shape.bytes].map(|n| n.to_string()));
    command.args([warm_up, measured].map(|n| n.to_string()));
    let ended = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&ended.stdout);
    read(&said).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&ended.stderr);
        format!("at {shape}: {said}{errors}")
    })
}

/// Reads the line of JSON that a client prints, an object of numbers.
fn read(said: &str) -> Option<Measured> {
    let number = |name| number(said, name);
    Some(Measured {
        rate: number("rate")?,
        p50: number("p50")?,
        p99: number("p99")?,
        server: number("server")?,
        behind: number("behind")?,
        client: number("client")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_prints_is_read() {
        let said =
            r#"{"calls":9,"rate":100,"p50":1.5,"p99":2.5,"server":0.6,"behind":0,"client":0.8}"#;
        let is =
            Measured { rate: 100.0, p50: 1.5, p99: 2.5, server: 0.6, behind: 0.0, client: 0.8 };
        assert_eq!(read(said), Some(is));
    }

    #[test]
    fn every_system_has_a_server() {
        for system in &SYSTEMS {
            assert!(SERVERS.iter().any(|(name, _)| *name == system.server), "{}", system.name);
        }
    }
}
