//! A real gRPC as a peer: the program in `python/`, run with the library of Python.
//!
//! `LOCUM_PYTHON` names the directories where `grpcio` and what else is wanted are installed; without it, Python looks
//! where it always does.
//! Where there is none, [`Grpc::find`] says loudly what was not tested.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Python with `grpcio`.
#[derive(Debug, Clone, Copy)]
pub struct Grpc(());

impl Grpc {
    /// Whether it is there.
    pub fn find() -> Option<Self> {
        let found = python().args(["-c", "import grpc"]).stderr(Stdio::null()).status();
        if found.is_ok_and(|status| status.success()) {
            return Some(Self(()));
        }
        // Past the capture of a test's output, or nobody would see it.
        drop(writeln!(
            io::stderr(),
            "SKIPPED real gRPC: no grpcio for python3, nor in LOCUM_PYTHON"
        ));
        None
    }

    /// A server at a free port.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn server(self) -> GrpcServer {
        let mut child = program(PEER)
            .arg("server")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().parse();
        let address = address.unwrap_or_else(|_| panic!("not an address: {line:?}"));
        GrpcServer { address, child, _output: output }
    }

    /// Has a client make these checks of what is at this address.
    ///
    /// # Panics
    ///
    /// When one fails, or not all are made.
    pub fn check(self, address: SocketAddr, checks: &[&str]) {
        let mut client = program(PEER);
        let ended = client.arg("client").arg(address.to_string()).args(checks).output();
        let ended = ended.expect("python3 is there");
        let said = String::from_utf8_lossy(&ended.stdout);
        let passed = said.lines().filter(|line| line.starts_with("PASS ")).count();
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(passed == checks.len() && ended.status.success(), "{said}{errors}");
    }

    /// Makes calls, and holds one stream open, while the other thing happens. Gives how many were answered, and
    /// what the others met.
    ///
    /// # Panics
    ///
    /// When it cannot connect.
    pub fn load_during<T>(
        self,
        address: SocketAddr,
        other: impl FnOnce() -> T,
    ) -> ((u64, Vec<String>), T) {
        let mut child = program(PEER)
            .arg("load")
            .arg(address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says that it calls");
        assert_eq!(line, "calling\n");
        let done = other();
        drop(child.stdin.take());
        let lines: Vec<String> = output.lines().map_while(Result::ok).collect();
        assert!(child.wait().is_ok_and(|status| status.success()), "{lines:?}");
        let number = |at: usize| lines[at].parse::<u64>().expect("a number");
        assert_eq!(number(1) == 0, lines.len() == 2, "{lines:?}");
        ((number(0), lines[2..].to_vec()), done)
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct GrpcServer {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    // Open as long as the server runs, so that it may write.
    _output: BufReader<ChildStdout>,
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const PEER: &str = "grpc_peer.py";

/// Python with one of our programs.
pub(crate) fn program(name: &str) -> Command {
    let mut command = python();
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name));
    command
}

/// Python with what was installed for it.
pub(crate) fn python() -> Command {
    let mut command = Command::new("python3");
    if let Some(directory) = env::var_os("LOCUM_PYTHON") {
        command.env("PYTHONPATH", directory);
    }
    // A proxy of the environment is none of ours.
    command.env("no_proxy", "*").env("GRPC_VERBOSITY", "NONE");
    command
}
