//! A Go client that makes many calls at once, and what became of them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::Deserialize;

use super::{Go, Mode};

/// How many connections, callers on each, and calls of each caller, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    /// Connections, all of them made before the first call.
    pub connections: usize,
    /// On each connection.
    pub callers: usize,
    /// Of each caller; 0: until they are told to stop.
    pub calls: usize,
}

/// What became of the calls.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Tally {
    /// How many were answered rightly, by the server that did. A server is called as it listens.
    pub answered: BTreeMap<String, u64>,
    /// Why the others were not, with how often.
    pub failed: BTreeMap<String, u64>,
    /// The longest call, in milliseconds.
    pub slowest: u64,
}

impl Tally {
    /// How many were answered.
    pub fn ok(&self) -> u64 {
        self.answered.values().sum()
    }

    /// How many were answered by the server that listens there.
    pub fn by(&self, server: SocketAddr) -> u64 {
        self.answered.get(&server.to_string()).copied().unwrap_or(0)
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

impl Go {
    /// Makes the calls and waits for their end.
    ///
    /// # Panics
    ///
    /// When the client cannot connect.
    pub fn load(&self, mode: Mode, server: SocketAddr, calls: Calls) -> Tally {
        Running::start(self, mode, server, calls).end()
    }

    /// Makes calls while the other thing happens, and stops after it.
    ///
    /// # Panics
    ///
    /// When the client cannot connect.
    pub fn load_during<T>(
        &self,
        mode: Mode,
        server: SocketAddr,
        calls: Calls,
        other: impl FnOnce() -> T,
    ) -> (Tally, T) {
        let running = Running::start(self, mode, server, Calls { calls: 0, ..calls });
        let done = other();
        (running.stop(), done)
    }
}

/// A client that calls. Dropping it kills it.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it and waits until all of its connections are there.
    fn start(go: &Go, mode: Mode, server: SocketAddr, calls: Calls) -> Self {
        let Calls { connections, callers, calls } = calls;
        let mut child = Command::new(&go.program)
            .args(["load", mode.name(), &server.to_string()])
            .args([connections, callers, calls].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", go.program.display()));
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says when it is ready");
        let running = Self { child, output };
        assert_eq!(line, "READY\n", "a client of {server}");
        running
    }

    /// Tells it to begin no more calls, and waits for its end.
    fn stop(mut self) -> Tally {
        drop(self.child.stdin.take());
        self.end()
    }

    fn end(mut self) -> Tally {
        let mut said = String::new();
        self.output.read_to_string(&mut said).expect("it says what became of the calls");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said:?}: {error}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
