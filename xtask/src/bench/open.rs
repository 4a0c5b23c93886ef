//! The load of `bench/load` that does not wait for answers and is what the proxy stands before, and what it says of
//! one run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use super::server::REST;
use super::tool::number;

/// How often it asks, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Where the proxy expects what it stands before.
    pub(super) origin: SocketAddr,
    /// What has it go before everything else that wants its core, if it does.
    pub(super) first: &'static [&'static str],
    /// Requests a second.
    pub(super) rate: f64,
    /// What decides when requests are due.
    pub(super) seed: u64,
    pub(super) connections: u32,
    /// Milliseconds that do not count, and those after them that do.
    pub(super) warm_up: u32,
    pub(super) measured: u32,
}

impl Open {
    /// The process that asks, beside the proxy's core. One that waits for ever is ended.
    pub(super) fn command(&self, program: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=1", "60"])
            .args(self.first)
            .args(["taskset", "-c", REST])
            .arg(program)
            .arg("open")
            .args([address, self.origin].map(|address| address.to_string()))
            .args([format!("{:.0}", self.rate), self.seed.to_string()])
            .args([self.connections, self.warm_up, self.measured].map(|number| number.to_string()));
        command
    }
}

/// What the process said.
pub(super) struct Said<'a>(pub(super) &'a Output);

impl Said<'_> {
    /// A number by its name.
    pub(super) fn of(&self, name: &str) -> Result<f64, String> {
        let said = String::from_utf8_lossy(&self.0.stdout);
        number(&said, name)
            .ok_or_else(|| format!("{said}{}", String::from_utf8_lossy(&self.0.stderr)))
    }
}
