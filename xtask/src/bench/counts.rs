//! `cargo xtask bench counts`: the instructions of one call on each of the hot paths.
//!
//! Counted under valgrind, one call after the other, as the difference of a long run and a short one. That repeats
//! within a percent on a busy machine, where time does not; so it is what `cargo xtask test` guards. The build is
//! the quick one, whose counts are higher than a release's and move with them.

mod http;
mod ledger;
mod valgrind;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::arith::Arith;
use super::peer;
use crate::process::{Step, cargo, installed, root, skipped, target};
use crate::setup;

use http::{Http1, Http2, Origin};
use ledger::Ledger;
use valgrind::Counted;

/// How many calls the two runs make.
const SHORT: u32 = 1_000;
const LONG: u32 = 6_000;

/// A path that is counted.
#[derive(Clone, Copy)]
enum Path {
    Http1Bare,
    Http1All,
    Http2All,
    GobProxy,
    GobLibrary,
    Policies,
}

const PATHS: [(&str, Path); 6] = [
    ("HTTP/1.1, no policy", Path::Http1Bare),
    ("HTTP/1.1, all policies", Path::Http1All),
    ("HTTP/2 in front, all policies", Path::Http2All),
    ("gob through the proxy, all policies", Path::GobProxy),
    ("gob in the library, both ends", Path::GobLibrary),
    ("all policies alone", Path::Policies),
];

/// Counts, and compares with what `bench/counts.toml` allows; with a reason, writes there what was counted.
pub(crate) fn counts(reason: Option<&str>) -> Result<(), String> {
    if !can_count() {
        return Ok(());
    }
    let mut ledger = Ledger::read()?;
    let stranger = ledger.stranger();
    if let (Some(why), None) = (&stranger, reason) {
        skipped("instruction counts", why);
        return Ok(());
    }
    build()?;
    let mut excesses = Vec::new();
    for (name, path) in PATHS {
        let step = Step::new(&format!("count: {name}"));
        let counted = count(path)?;
        match ledger.judge(name, counted) {
            Ok(remark) => println!("    {counted} instructions{remark}"),
            Err(excess) if reason.is_none() => excesses.push(excess),
            Err(excess) => println!("    {excess}"),
        }
        if let Some(reason) = reason {
            ledger.set(name, counted, reason);
        }
        step.done();
    }
    if reason.is_some() {
        return ledger.write();
    }
    match excesses.as_slice() {
        [] => Ok(()),
        _ => Err(format!(
            "{}\n  make it cheaper, or say why it may cost that: cargo xtask bench counts \"REASON\"",
            excesses.join("\n  ")
        )),
    }
}

/// Whether there is something to count with; if not, that is said.
fn can_count() -> bool {
    drop(setup::need(&[("valgrind", "valgrind")]));
    let can = installed("valgrind");
    if !can {
        skipped("instruction counts", "there is no valgrind; install it");
    }
    can
}

fn build() -> Result<(), String> {
    setup::need_allocator()?;
    const BUILD: &str =
        "build --quiet --profile fast --locked --package locum-cli --package locum-count --bins";
    Step::new("build what is counted").run(&mut cargo(&BUILD.split(' ').collect::<Vec<_>>()))
}

/// Instructions of one call.
fn count(path: Path) -> Result<u64, String> {
    let [short, long] = [run(path, SHORT)?, run(path, LONG)?];
    Ok(long.saturating_sub(short) / u64::from(LONG - SHORT))
}

/// Instructions of a whole run with so many calls.
fn run(path: Path, calls: u32) -> Result<u64, String> {
    let word = match path {
        Path::GobLibrary => "library",
        Path::Policies => "policies",
        _ => return run_proxy(path, calls),
    };
    let arguments = [word.to_owned(), calls.to_string()];
    Counted::start(&program("locum-count"), &arguments)?.end_by_itself()
}

fn run_proxy(path: Path, calls: u32) -> Result<u64, String> {
    let origin = Origin::start()?;
    let [bare, all, gob, arith] = [
        peer::free_address()?,
        peer::free_address()?,
        peer::free_address()?,
        peer::free_address()?,
    ];
    let caller = program("locum-count");
    let config = write_config([bare, all, gob, arith, origin.address])?;
    let _arith = match path {
        Path::GobProxy => Some(Arith::start(&caller, &["serve", &arith.to_string()])?),
        _ => None,
    };
    let arguments = ["run", "-c", &config.display().to_string()].map(str::to_owned);
    let mut proxy = Counted::start(&program("locum"), &arguments)?;
    proxy.wait_until_it_listens(gob)?;
    match path {
        Path::Http1Bare => Http1::connect(bare)?.ask(calls)?,
        Path::Http1All => Http1::connect(all)?.ask(calls)?,
        Path::Http2All => Http2::connect(all)?.ask(calls)?,
        _ => {
            let call = ["call", &gob.to_string(), &calls.to_string()].map(str::to_owned);
            Arith::start(&caller, &call.each_ref().map(String::as_str))?.wait()?;
        }
    }
    proxy.end()
}

fn write_config([bare, all, gob, arith, origin]: [SocketAddr; 5]) -> Result<PathBuf, String> {
    let (template, file) = (root().join("bench/count/proxy.toml"), target().join("counts.toml"));
    let text = fs::read_to_string(&template)
        .map_err(|error| format!("{}: {error}", template.display()))?
        .replace("{bare}", &bare.port().to_string())
        .replace("{all}", &all.port().to_string())
        .replace("{gob}", &gob.port().to_string())
        .replace("{arith}", &arith.port().to_string())
        .replace("{origin}", &origin.port().to_string());
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

fn program(name: &str) -> PathBuf {
    target().join("fast").join(name)
}
