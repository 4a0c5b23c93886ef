//! `cargo xtask test`: everything that says whether a change may go in.

use crate::process::{Step, cargo, output, skipped};
use crate::{bench, fuzz, setup};

/// Runs every step, also after one has failed, and ends with what the runners said last.
pub(crate) fn everything() -> Result<(), String> {
    setup::need_allocator()?;
    let mut failures = Vec::new();
    let mut closing = Vec::new();
    let mut note = |result: Result<(), String>| failures.extend(result.err());

    note(Step::new("format").run(&mut cargo(&["fmt", "--all", "--check"])));
    // Workspaces of their own.
    for apart in ["fuzz", "bench/load", "bench/peers", "bench/report", "bench/rpc", "bench/uring"] {
        let manifest = format!("{apart}/Cargo.toml");
        let format = ["fmt", "--check", "--manifest-path", &manifest];
        note(Step::new(&format!("format of {apart}")).run(&mut cargo(&format)));
    }
    note(Step::new("lints").run(&mut cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])));
    note(
        Step::new("documentation").run(
            cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--locked"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        ),
    );
    note(dependencies());
    let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    note(setup::need(&[
        ("curl", "curl"),
        ("openssl", "openssl"),
        ("haproxy", "haproxy"),
        ("nginx", "nginx"),
        ("h2load", "nghttp2-client"),
    ]));
    // Without them the tests that need one say that they are skipped.
    match setup::need_go() {
        Ok(gos) => drop(tests.env("LOCUM_GO", gos)),
        Err(why) => note(Err(format!("Go: {why}"))),
    }
    match setup::need_grpc() {
        Ok(directory) => drop(tests.env("LOCUM_PYTHON", directory)),
        Err(why) => note(Err(format!("gRPC: {why}"))),
    }
    // loom's words and locks work inside of its models only, so the others are left out.
    let races = "test --package locum-policy --features loom --lib --locked races";
    let races = cargo(&races.split(' ').collect::<Vec<_>>());
    for (what, mut command) in [("tests", tests), ("races", races), ("fuzz seeds", fuzz::seeds())] {
        let (lines, tested) = Step::new(what).run_and_keep(&mut command, is_closing);
        closing.extend(lines);
        note(tested);
    }
    let (lines, fuzzed) = fuzz::smoke();
    closing.extend(lines);
    note(fuzzed);
    note(bench::counts(None));

    println!("==> the runners' last lines");
    for line in &closing {
        println!("{line}");
    }
    match failures.as_slice() {
        [] => {
            println!("==> all is well");
            Ok(())
        }
        _ => Err(format!("{} failed:\n  {}", failures.len(), failures.join("\n  "))),
    }
}

/// Licences, sources and duplicates, by deny.toml; advisories need a database from the network.
fn dependencies() -> Result<(), String> {
    const CHECK: [&str; 6] = ["deny", "--offline", "check", "bans", "licenses", "sources"];
    if output("cargo", &["deny", "--version"]).is_none() {
        skipped("dependencies", "cargo-deny is missing; `cargo install cargo-deny --locked`");
        return Ok(());
    }
    Step::new("dependencies").run(&mut cargo(&CHECK))
}

fn is_closing(line: &str) -> bool {
    line.starts_with("test result:")
        || line.starts_with("SKIPPED")
        || (line.starts_with("test ") && line.ends_with("FAILED"))
}
