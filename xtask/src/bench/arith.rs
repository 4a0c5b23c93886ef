//! The other side of remote calls, which is not what is looked at: a server of them, or who calls it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `locum-count` by these words. Dropping it ends it.
pub(super) struct Arith(Child);

impl Arith {
    /// Starts it, from where it was built to.
    pub(super) fn start(program: &Path, words: &[&str]) -> Result<Self, String> {
        let started = Command::new(program).args(words).stdin(Stdio::null()).spawn();
        started.map(Self).map_err(|error| format!("locum-count: {error}"))
    }

    /// Waits until it has done all that it was asked for.
    pub(super) fn wait(mut self) -> Result<(), String> {
        let status = self.0.wait().map_err(|error| format!("locum-count: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("locum-count: {status}")) }
    }
}

impl Drop for Arith {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
