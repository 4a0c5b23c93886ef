//! What the program is loaded with while it is watched, so that it can be built for that: the benchmarks' own loads,
//! and a little of everything else that is on a call's way.

use std::fs;
use std::path::{Path, PathBuf};

use super::arith::Arith;
use super::load::Bench;
use super::material;
use super::need_tools;
use super::peer::{Peer, Place, free_address};
use super::scenario::{SCENARIOS, Scenario, Script};
use super::server::{LOCUM_ALL, Ready, Server};
use super::tool;
use crate::process::{Step, cargo, target};

/// How long each load lasts.
const SECONDS: u32 = 2;
/// How many remote calls are made over each protocol.
const CALLS: u32 = 20_000;

const TRAINED: Server = Server { config: Some("train/locum.toml"), ..LOCUM_ALL };
const REQUESTS: Script = Script { file: "train/requests.lua", argument: 0 };

/// Loads `program`, and ends it in peace, so that it can write down what it saw.
pub(crate) fn train(program: &Path) -> Result<(), String> {
    need_tools()?;
    material::make()?;
    let caller = build_caller()?;
    let step = Step::new("load the program, and watch it");
    let bench = Bench::new()?;
    let [calls, own, arith] = [free_address()?, free_address()?, free_address()?];
    let _arith = Arith::start(&caller, &["serve", &arith.to_string()])?;
    let more = [("calls", calls), ("own", own), ("arith", arith)];
    let more = more.map(|(name, address)| (name, address.port().to_string())).into();
    let ready = Ready { server: TRAINED, program: program.to_owned() };
    let peer = Peer::start(&ready, &Place { more, ..Place::before(bench.origin()) })?;
    write_hello()?;
    let mixed = Scenario::scripted("a little of everything".to_owned(), Some(REQUESTS));
    for scenario in SCENARIOS.iter().chain([&mixed]) {
        tool::run(scenario, &peer, SECONDS)?;
    }
    for (protocol, to) in [("gob", calls), ("json-rpc2", calls), ("native", own)] {
        Arith::start(&caller, &["call", &to.to_string(), &CALLS.to_string(), protocol])?.wait()?;
    }
    peer.end()?;
    step.done();
    Ok(())
}

/// A small file to be asked for.
fn write_hello() -> Result<(), String> {
    let file = target().join("bench-proxy/hello.txt");
    fs::write(&file, "hello\n".repeat(200)).map_err(|error| format!("{}: {error}", file.display()))
}

/// Builds the program that makes remote calls and serves them; it is not what is watched, so quickly.
fn build_caller() -> Result<PathBuf, String> {
    let step = Step::new("build what calls it");
    step.run(&mut cargo(&["build", "--quiet", "--locked", "--package", "locum-count"]))?;
    Ok(target().join("debug/locum-count"))
}
