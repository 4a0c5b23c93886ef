//! The tables, on standard output and in `bench/results/`, as Markdown and as JSON.

use std::fmt::Write as _;
use std::fs;

use super::system::{
    GO, GO_TO_OURS, GOB, Measured, NATIVE, OLD_GO, OLD_GO_TO_OURS, SYSTEMS, TARPC, TONIC,
};
use super::{Results, Shape, shapes};
use crate::bench::report::{machine, median, revision};
use crate::process::{output, root};

/// Prints what was measured and, if so told, writes it to files named for the day.
pub(super) fn tell(results: &Results, rounds: usize, written: bool) -> Result<(), String> {
    let text = render(results, rounds)?;
    println!("\n{text}");
    if written { write("rpc", &text, &json(results)) } else { Ok(()) }
}

/// Writes tables and figures to files named for the day and the benchmark.
pub(super) fn write(name: &str, tables: &str, figures: &str) -> Result<(), String> {
    let day = output("date", &["+%F"]).ok_or("no date")?;
    for (kind, text) in [("md", tables), ("json", figures)] {
        let file = root().join(format!("bench/results/{day}-{name}.{kind}"));
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("==> written to {}", file.display());
    }
    Ok(())
}

fn render(results: &Results, rounds: usize) -> Result<String, String> {
    let mut text = format!(
        "# Remote calls beside other systems\n\n\
         Command: `cargo xtask bench rpc`, at {}. Machine: {}.\n\
         Versions: {}.\n\n\
         The server on core 0, the load on core 1, TCP_NODELAY, closed loop; {rounds} interleaved\n\
         rounds, medians and the range of what the server spends on a call. 8 bytes are a\n\
         multiplication, more are echoed. `multi` is tokio's multi-threaded runtime, with one worker.\n\
         Go's client writes once a call, so compare servers within one client. JSON carries bytes as\n\
         base64.\n",
        revision(),
        machine(),
        versions(),
    );
    for shape in shapes() {
        let _ = write!(
            text,
            "\n## {shape}\n\n\
             | system | server us/call | range | client us/call | calls/s | p50 us | p99 us |\n\
             |---|--:|--:|--:|--:|--:|--:|\n"
        );
        for (at, system) in SYSTEMS.iter().enumerate() {
            let runs = results.get(&(shape, at)).map_or(&[][..], Vec::as_slice);
            let _ = writeln!(text, "{}", row(system.name, runs));
        }
    }
    text.push_str("\n## Ratios\n\n| what | is | wanted |\n|---|--:|--:|\n");
    for (what, is, wanted) in ratios(results)? {
        let _ = writeln!(text, "| {what} | {is:.3} | at most {wanted:.3} |");
    }
    Ok(text)
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
fn ratios(results: &Results) -> Result<Vec<(&'static str, f64, f64)>, String> {
    let many = Shape { bytes: 8, callers: 64, connections: 1 };
    let one = Shape { callers: 1, ..many };
    let of = |shape: Shape, name: &str, value: fn(&Measured) -> f64| {
        let at = SYSTEMS.iter().position(|system| system.name == name);
        let runs = at.and_then(|at| results.get(&(shape, at)));
        let runs = runs.ok_or_else(|| format!("{name} was not measured at {shape}"))?;
        Ok::<f64, String>(median(runs.iter().map(value)))
    };
    let to = |name: &str, other: &str| {
        Ok::<f64, String>(of(many, name, |run| run.server)? / of(many, other, |run| run.server)?)
    };
    let p50 = of(one, GOB, |run| run.p50)? / of(one, GO, |run| run.p50)?;
    Ok(vec![
        ("the same Go client: our server to Go's", to(GO_TO_OURS, GO)?, 0.5),
        ("the same with Debian's Go", to(OLD_GO_TO_OURS, OLD_GO)?, 0.5),
        ("gob, both ends: ours to Go's", to(GOB, GO)?, 1.0 / 15.0),
        ("the same with Debian's Go", to(GOB, OLD_GO)?, 1.0 / 15.0),
        ("native to tarpc", to(NATIVE, TARPC)?, 1.0 / 2.5),
        ("native to tonic", to(NATIVE, TONIC)?, 1.0 / 10.0),
        ("p50 of one caller, gob: ours to Go's", p50, 1.0),
    ])
}

fn json(results: &Results) -> String {
    let rows = results.iter().flat_map(|((shape, at), runs)| {
        runs.iter().map(move |run| {
            format!(
                "  {{\"system\":\"{}\",\"callers\":{},\"connections\":{},\"bytes\":{},\"rate\":{},\"p50\":{},\"p99\":{},\"server\":{},\"client\":{}}}",
                SYSTEMS[*at].name,
                shape.callers,
                shape.connections,
                shape.bytes,
                run.rate,
                run.p50,
                run.p99,
                run.server,
                run.client,
            )
        })
    });
    format!("[\n{}\n]\n", rows.collect::<Vec<_>>().join(",\n"))
}

/// Those of the systems, from the lock file that they were built by.
fn versions() -> String {
    let lock = fs::read_to_string(root().join("bench/rpc/Cargo.lock")).unwrap_or_default();
    let version = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", after.split('"').next()?))
    };
    let crates =
        ["tokio", "tarpc", "tonic", "volo-thrift", "capnp-rpc"].into_iter().filter_map(version);
    crates.chain([gos()]).collect::<Vec<_>>().join(", ")
}

/// Those of the Gos.
pub(super) fn gos() -> String {
    let gos = crate::setup::need_go().unwrap_or_default();
    let gos = std::env::split_paths(&gos)
        .filter_map(|go| output(&go.display().to_string(), &["env", "GOVERSION"]));
    gos.collect::<Vec<_>>().join(", ")
}
