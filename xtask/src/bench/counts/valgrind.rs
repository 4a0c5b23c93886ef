//! A program under valgrind, which counts its instructions.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::process::target;

/// A program whose instructions of user time are counted, in all of its threads.
pub(super) struct Counted(Child);

impl Counted {
    pub(super) fn start(program: &Path, arguments: &[String]) -> Result<Self, String> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        command.args(arguments).current_dir(target());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().map(Self).map_err(|error| format!("valgrind: {error}"))
    }

    /// Waits until it listens at `address`.
    pub(super) fn wait_until_it_listens(&mut self, address: SocketAddr) -> Result<(), String> {
        for _ in 0..PATIENCE {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.0.try_wait() {
                return Err(format!("ended with {status}: {}", self.said()?));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("nobody listens at {address}"))
    }

    /// Asks it to end; how many instructions it took in all.
    pub(super) fn end(self) -> Result<u64, String> {
        let kill = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        kill.map_err(|error| format!("kill: {error}"))?;
        self.end_by_itself()
    }

    /// Waits until it has ended; how many instructions it took in all.
    pub(super) fn end_by_itself(mut self) -> Result<u64, String> {
        let said = self.said()?;
        let status: ExitStatus = self.0.wait().map_err(|error| error.to_string())?;
        let collected =
            said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
        match collected {
            Some(instructions) if status.success() => Ok(instructions),
            _ => Err(format!("valgrind ended with {status}: {said}")),
        }
    }

    fn said(&mut self) -> Result<String, String> {
        let mut said = String::new();
        let stderr = self.0.stderr.as_mut().ok_or("its standard error is a pipe")?;
        stderr.read_to_string(&mut said).map_err(|error| error.to_string())?;
        Ok(said)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Under valgrind a program takes some fifty times as long to begin; this many times 50 ms.
const PATIENCE: u32 = 1200;
