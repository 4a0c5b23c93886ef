//! What a person or CI calls: `cargo xtask run`, `test`, `bench`. It sets up what is missing,
//! says what it does, and needs nothing but the standard library.

mod bench;
mod check;
mod dist;
mod fuzz;
mod process;
mod setup;

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use process::{cargo, root};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  run [ARGUMENTS]   build the program and run `locum run` with the arguments; without any, a demo of HTTP
                    and of remote calls, which says what to try
  test              format, lints, documentation, dependencies, every test, a short fuzz
  dist              builds the program as it is released, by what it counts of itself under load: target/dist/locum
  bench NAME [--brief] [--only SCENARIO] [--peers NAME,NAME]
                    measures, prints tables and writes them to bench/results/; of a part nothing is written
    proxy           the data path beside nginx, HAProxy, Envoy, Go, Caddy, pingora and hyper
    io              a loop on epoll, and the same on io_uring, beside nginx and Locum
    latency         how long requests take under a load that does not wait: nginx, HAProxy, Envoy and Locum
    memory          idle connections of those of `proxy`
    policies        what each policy adds to a request
    scale           many routes, endpoints and keys of a limit, beside nginx
    rpc             remote calls beside Go, tarpc, tonic, volo and capnp-rpc
    rpc-proxy       the proxy of remote calls beside HAProxy, and none
    all             all of these, and the report
  bench report      draws bench/REPORT.md from the newest results
  bench run         what the policies around one call cost
  bench counts [REASON]
                    the instructions of one call, beside those of bench/counts.toml; with a reason, writes that anew";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["run", rest @ ..] => run(rest),
        ["test"] => check::everything(),
        ["dist"] => dist::dist().map(drop),
        ["bench", "run"] => bench::engine(),
        ["bench", "counts"] => bench::counts(None),
        ["bench", "counts", reason] => bench::counts(Some(reason)),
        ["bench", name, options @ ..] => bench::run(name, options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the program and becomes it, so that signals and the exit code are its own.
fn run(arguments: &[&str]) -> Result<(), String> {
    setup::need_allocator()?;
    println!("==> build the program and run it");
    let build =
        ["run", "--profile", "fast", "--package", "locum-cli", "--bin", "locum", "--manifest-path"];
    let mut program = cargo(&build);
    program.arg(root().join("Cargo.toml")).args(["--", "run"]).args(arguments);
    // Files among the arguments are named from where the person stands.
    if let Ok(here) = env::current_dir() {
        program.current_dir(here);
    }
    Err(program.exec().to_string())
}
