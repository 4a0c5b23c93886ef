//! What a person or CI calls: `cargo xtask run`, `test`, `bench`. It sets up what is missing,
//! says what it does, and needs nothing but the standard library.

mod bench;
mod check;
mod fuzz;
mod process;
mod setup;

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use process::{Step, cargo, root};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  run [ARGUMENTS]   build the program and run `locum run` with the arguments; without any, a demo of HTTP
                    and of remote calls, which says what to try
  test              format, lints, documentation, dependencies, every test, a short fuzz
  bench proxy [--brief]  the data path beside nginx and HAProxy; writes bench/results/
  bench rpc [--brief]  remote calls beside Go, tarpc, tonic, volo and capnp-rpc
  bench rpc-proxy [--brief]  the proxy of remote calls beside HAProxy, and none
  bench run         what the policies around one call cost";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["run", rest @ ..] => run(rest),
        ["test"] => check::everything(),
        ["bench", "proxy"] => bench::proxy(false),
        ["bench", "proxy", "--brief"] => bench::proxy(true),
        ["bench", "rpc"] => bench::rpc(false),
        ["bench", "rpc", "--brief"] => bench::rpc(true),
        ["bench", "rpc-proxy"] => bench::rpc_proxy(false),
        ["bench", "rpc-proxy", "--brief"] => bench::rpc_proxy(true),
        ["bench", "run"] => bench_run(),
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

fn bench_run() -> Result<(), String> {
    setup::need_allocator()?;
    Step::new("policies around one call").run(&mut cargo(&["bench", "--package", "locum-policy"]))
}
