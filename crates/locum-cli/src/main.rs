//! `locum`: reverse proxy and gateway that keeps remote calls under control.

use std::process::ExitCode;

use clap::Parser as _;

mod admin;
mod args;
mod call;
mod config;
mod demo;
mod diff;
mod explain;
mod fmt;
mod handover;
mod list;
mod log;
mod print;
mod proxy;
mod ready;
mod run;
mod running;
mod shell;
mod simulate;
mod supervisor;
mod watch;
mod worst_case;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    small_pages();
    let args::Args { command } = args::Args::parse();
    let done = match command {
        args::Command::Run(args) => run::run(args),
        args::Command::Proxy(args) => proxy::run(args),
        args::Command::Check(args) => print::check(&args.config),
        args::Command::Print(args) => print::print(args.config.as_deref(), args.resolved),
        args::Command::Explain(args) => explain::run(&args),
        args::Command::Diff(args) => diff::run(&args),
        args::Command::Fmt(args) => fmt::run(&args),
        args::Command::Completions(args) => shell::completions(&args),
        args::Command::Man => shell::man(),
        args::Command::Schema => print::schema(),
        args::Command::Simulate(args) => simulate::run(&args),
        args::Command::Call(args) => call::run(&args),
        args::Command::List(args) => list::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Does without huge pages: the allocator asks for them, and then the first kilobytes of every
/// thread hold 2 MiB. Measured with 12,000 connections: 67 MiB resident with them, 50 without.
fn small_pages() {
    // An old kernel may not know the switch; then it stays as it was.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// It was asked wrongly: exit code 2.
    Usage(String),
    /// Two things that were compared differ: exit code 1, and there is no more to say.
    Different,
    /// The configuration has errors.
    Config(config::Failure),
    /// It could not be done: what, and why.
    Failed(String),
    /// A remote call ended badly: the exit code, and why.
    Call(u8, String),
}

impl Failure {
    /// Says it on standard error; the exit code.
    fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                eprintln!("error: {text}");
                ExitCode::from(2)
            }
            Self::Different => ExitCode::FAILURE,
            Self::Config(failure) => {
                // When standard error is gone, the exit code still tells.
                drop(failure.sources.show(&failure.problems));
                ExitCode::FAILURE
            }
            Self::Failed(text) => {
                eprintln!("error: {text}");
                ExitCode::FAILURE
            }
            Self::Call(code, text) => {
                eprintln!("error: {text}");
                ExitCode::from(code)
            }
        }
    }
}

impl From<config::Failure> for Failure {
    fn from(failure: config::Failure) -> Self {
        Self::Config(failure)
    }
}
