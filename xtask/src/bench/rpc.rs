//! `cargo xtask bench rpc`: remote calls of Locum beside Go's net/rpc, tarpc, tonic, volo and
//! capnp-rpc.
//!
//! The server has core 0, the load core 1, both pinned. Callers make one call after the other; the
//! first moments do not count. Systems take turns, round by round, and medians are told.

mod proxied;
mod report;
mod system;

pub(super) use proxied::run as proxied;

use std::collections::BTreeMap;

use super::options::Options;
use super::program::build_workspace;
use crate::process::{Step, root};
use crate::setup;

use system::{Measured, Programs, SYSTEMS, Server};

/// How often everything is measured.
const ROUNDS: usize = 3;

/// What is asked of every system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    bytes: usize,
    /// On each connection.
    callers: usize,
    connections: usize,
}

/// All of 1, 64 and 256 callers on one connection and 64 on each of eight, with each size.
fn shapes() -> Vec<Shape> {
    let loads = [(1, 1), (64, 1), (256, 1), (64, 8)];
    let sizes = [8, 1 << 10, 64 << 10];
    let all = sizes.iter().flat_map(|&bytes| {
        loads.iter().map(move |&(callers, connections)| Shape { bytes, callers, connections })
    });
    all.collect()
}

/// The runs of each system at each shape, in the order of [`SYSTEMS`].
type Runs = BTreeMap<(Shape, usize), Vec<Measured>>;

/// Measures all systems. Briefly is shorter as well.
pub(super) fn run(options: &Options) -> Result<(), String> {
    setup::need_allocator()?;
    setup::need(&[("taskset", "util-linux"), ("capnp", "capnproto")])?;
    let programs = build()?;
    let servers = system::start_all(&programs)?;
    let (rounds, warm_up, measured) = if options.brief { (1, 50, 100) } else { (ROUNDS, 150, 450) };
    let mut runs = Runs::new();
    for shape in shapes().into_iter().filter(|shape| options.wants_scenario(&shape.to_string())) {
        let step = Step::new(&shape.to_string());
        for _ in 0..rounds {
            for (at, system) in SYSTEMS.iter().enumerate() {
                let server: &Server = &servers[system.server];
                let run = system.load(&programs, server, &shape, warm_up, measured)?;
                runs.entry((shape, at)).or_default().push(run);
            }
        }
        step.done();
    }
    drop(servers);
    report::results(&runs, rounds).tell(options, Ok(()))
}

fn build() -> Result<Programs, String> {
    let gos = setup::need_go()?;
    let programs = Programs::at(&crate::process::target());
    build_workspace("rpc")?;
    for (go, program) in std::env::split_paths(&gos).zip([&programs.old_go, &programs.go]) {
        Step::new("build the systems in Go").run(
            std::process::Command::new(&go)
                .args(["build", "-o"])
                .arg(program)
                .arg(".")
                .current_dir(root().join("bench/rpc/go"))
                .env("GOTOOLCHAIN", "local")
                .env("GOFLAGS", ""),
        )?;
    }
    Ok(programs)
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { callers, connections, bytes } = self;
        write!(f, "{callers} callers on each of {connections} connections, {bytes} bytes")
    }
}
