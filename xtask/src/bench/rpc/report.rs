//! What was measured, as tables and run by run.

use std::fmt::Write as _;
use std::fs;

use super::system::{
    GO, GO_TO_OURS, GO_TO_PACED, GOB, Measured, NATIVE, OLD_GO, OLD_GO_TO_OURS, OLD_GO_TO_PACED,
    SYSTEMS, TARPC, TONIC,
};
use super::{Runs, Shape, shapes};
use crate::bench::program::version_in;
use crate::bench::results::{Results, Row, median};
use crate::process::{output, root};

/// Everything that was measured.
pub(super) fn results(runs: &Runs, rounds: usize) -> Results {
    Results {
        name: "rpc",
        title: "Remote calls beside other systems",
        versions: versions(),
        tables: tables(runs, rounds),
        rows: rows(runs),
    }
}

fn tables(all: &Runs, rounds: usize) -> String {
    let mut text = format!(
        "The server on core 0, the load on core 1, TCP_NODELAY, closed loop; {rounds} interleaved\n\
         rounds, medians and the range of what the server spends on a call. 8 bytes are a\n\
         multiplication, more are echoed. `multi` is tokio's multi-threaded runtime, with one worker.\n\
         `paced` rests by `locum::pace`. Go's client writes once a call, so compare servers within one\n\
         client. JSON carries bytes as base64.\n"
    );
    let measured = |shape: &Shape| all.contains_key(&(*shape, 0));
    for shape in shapes().into_iter().filter(measured) {
        let _ = write!(
            text,
            "\n## {shape}\n\n\
             | system | server us/call | range | client us/call | calls/s | p50 us | p99 us |\n\
             |---|--:|--:|--:|--:|--:|--:|\n"
        );
        for (at, system) in SYSTEMS.iter().enumerate() {
            let runs = all.get(&(shape, at)).map_or(&[][..], Vec::as_slice);
            let _ = writeln!(text, "{}", row(system.name, runs));
        }
    }
    // A part of the shapes says nothing of what was promised.
    let Some(ratios) = ratios(all) else { return text };
    text.push_str("\n## Ratios\n\n| what | is | wanted |\n|---|--:|--:|\n");
    for (what, is, wanted) in ratios {
        let _ = writeln!(text, "| {what} | {is:.3} | at most {wanted:.3} |");
    }
    text
}

fn row(name: &str, runs: &[Measured]) -> String {
    let of = |value: fn(&Measured) -> f64| median(runs.iter().map(value));
    let least = runs.iter().map(|run| run.server).fold(f64::INFINITY, f64::min);
    let most = runs.iter().map(|run| run.server).fold(0.0, f64::max);
    format!(
        "| {name} | {:.2} | {least:.2}–{most:.2} | {:.2} | {:.0} | {:.1} | {:.1} |",
        of(|run| run.server),
        of(|run| run.client),
        of(|run| run.rate),
        of(|run| run.p50),
        of(|run| run.p99),
    )
}

/// What was promised: the servers' processor time a call at 64 callers on one connection, and half of
/// the callers' waits where there is one caller.
fn ratios(runs: &Runs) -> Option<Vec<(&'static str, f64, f64)>> {
    let many = Shape { bytes: 8, callers: 64, connections: 1 };
    let one = Shape { callers: 1, ..many };
    let of = |shape: Shape, name: &str, value: fn(&Measured) -> f64| {
        let at = SYSTEMS.iter().position(|system| system.name == name);
        Some(median(runs.get(&(shape, at?))?.iter().map(value)))
    };
    let to = |name: &str, other: &str| {
        Some(of(many, name, |run| run.server)? / of(many, other, |run| run.server)?)
    };
    let p50 = of(one, GOB, |run| run.p50)? / of(one, GO, |run| run.p50)?;
    Some(vec![
        ("the same Go client: our server to Go's", to(GO_TO_OURS, GO)?, 0.5),
        ("the same with Debian's Go", to(OLD_GO_TO_OURS, OLD_GO)?, 0.5),
        ("the same Go client: our server that rests to Go's", to(GO_TO_PACED, GO)?, 0.5),
        ("the same with Debian's Go", to(OLD_GO_TO_PACED, OLD_GO)?, 0.5),
        ("gob, both ends: ours to Go's", to(GOB, GO)?, 1.0 / 15.0),
        ("the same with Debian's Go", to(GOB, OLD_GO)?, 1.0 / 15.0),
        ("native to tarpc", to(NATIVE, TARPC)?, 1.0 / 2.5),
        ("native to tonic", to(NATIVE, TONIC)?, 1.0 / 10.0),
        ("p50 of one caller, gob: ours to Go's", p50, 1.0),
    ])
}

fn rows(runs: &Runs) -> Vec<Row> {
    let rows = runs.iter().flat_map(|((shape, at), runs)| {
        runs.iter().map(move |run| {
            Row::default()
                .text("system", SYSTEMS[*at].name)
                .number("callers", shape.callers as f64)
                .number("connections", shape.connections as f64)
                .number("bytes", shape.bytes as f64)
                .number("rate", run.rate)
                .number("p50_us", run.p50)
                .number("p99_us", run.p99)
                .number("server_us", run.server)
                .number("client_us", run.client)
        })
    });
    rows.collect()
}

/// Those of the systems, from the lock file that they were built by.
fn versions() -> Vec<String> {
    let lock = fs::read_to_string(root().join("bench/rpc/Cargo.lock")).unwrap_or_default();
    let crates = ["tokio", "tarpc", "tonic", "volo-thrift", "capnp-rpc"];
    crates.into_iter().filter_map(|name| version_in(&lock, name)).chain([gos()]).collect()
}

/// Those of the Gos.
pub(super) fn gos() -> String {
    let gos = crate::setup::need_go().unwrap_or_default();
    let gos = std::env::split_paths(&gos)
        .filter_map(|go| output(&go.display().to_string(), &["env", "GOVERSION"]));
    gos.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_shapes_is_told_without_what_was_promised_of_all() {
        let shape = Shape { bytes: 8, callers: 64, connections: 1 };
        let run = Measured { rate: 100.0, server: 2.5, ..Measured::default() };
        let one = Runs::from([((shape, 0), vec![run.clone()])]);
        assert!(!tables(&one, 1).contains("Ratios"));
        assert_eq!(rows(&one).len(), 1);
        let of = |shape| (0..SYSTEMS.len()).map(move |at| ((shape, at), vec![run.clone()]));
        let both: Runs = of.clone()(shape).chain(of(Shape { callers: 1, ..shape })).collect();
        assert!(tables(&both, 1).contains("the same Go client: our server to Go's | 1.000"));
    }
}
