//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::file::{Format, Level};
use crate::config::value::{Address, Bind};

/// Keeps remote calls under control: timeouts, retries, circuit breaking, rate limits, metrics.
#[derive(Debug, Parser)]
#[command(name = "locum", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a configuration file; without one, a demo gateway on loopback.
    Run(Run),
    /// Forwards everything to one host.
    Proxy(Proxy),
    /// Judges a configuration file: exit code 0 if it is fine, 1 if it has errors.
    Check(Check),
    /// Prints a configuration as it is understood; without a file, the one that `run` runs then.
    Print(Print),
    /// Says what would become of a request or a remote call: its route and why, its policy, the worst that
    /// may happen.
    Explain(Explain),
    /// Says what a reload from one configuration to the other would change, and whom that reaches. Exit code
    /// 0: nothing; 1: something; 2: one of them has errors.
    Diff(Diff),
    /// Lays configuration files out in one way, with every comment kept.
    Fmt(Fmt),
    /// Prints what a shell completes this command line by.
    Completions(Completions),
    /// Prints the manual page.
    Man,
    /// Prints the JSON Schema of the configuration file, its reference.
    Schema,
    /// Tries a policy on recorded or modelled calls, in virtual time.
    Simulate(Simulate),
    /// Calls a method of a server by hand and prints the answer as JSON. Exit code 1: the service's own
    /// error, or no such method; 3: the call could not be carried; 4: a policy refused it, or its time
    /// was over.
    Call(Call),
    /// Lists the services and methods of a server, where it tells them.
    List(List),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The configuration file, TOML or JSON.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the demo gateway listens; port 0 picks one. Default $LOCUM_HTTP, else 127.0.0.1:8080.
    #[arg(long, value_name = "HOST:PORT", value_parser = bind, conflicts_with = "config")]
    pub(crate) http: Option<Bind>,
    /// Where its gateway of remote calls listens. Default $LOCUM_RPC, else 127.0.0.1:1234.
    #[arg(long, value_name = "HOST:PORT", value_parser = bind, conflicts_with = "config")]
    pub(crate) rpc: Option<Bind>,
    /// Where its admin API listens. Default $LOCUM_ADMIN, else 127.0.0.1:9900. Beyond loopback it
    /// needs a token, in $LOCUM_ADMIN_TOKEN.
    #[arg(long, value_name = "HOST:PORT", value_parser = bind, conflicts_with = "config")]
    pub(crate) admin: Option<Bind>,
    /// Reloads the file when it changes.
    #[arg(long, requires = "config")]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) process: Process,
}

/// What every command that serves takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Process {
    /// Writes the addresses to this file, as JSON, once everything listens.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// How the log is written; default what the configuration says.
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<Format>,
    /// The least important events logged; default what the configuration says.
    #[arg(long, value_enum)]
    pub(crate) log_level: Option<Level>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Proxy {
    /// The host that everything goes to, as a URL; with a scheme of remote calls, such as `gob`, these are
    /// taken.
    #[arg(long, value_name = "URL", value_parser = address)]
    pub(crate) to: Address,
    /// Where to listen; port 0 picks one.
    #[arg(long, value_name = "HOST:PORT", value_parser = bind, default_value = "127.0.0.1:8080")]
    pub(crate) listen: Bind,
    /// How long a call may take to be answered.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// A header field that every request gets; may be repeated.
    #[arg(long = "header", value_name = "KEY: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// A policy of a configuration file that every call is tried under.
    #[arg(long, value_name = "FILE#NAME", value_parser = policy)]
    pub(crate) policy: Option<(PathBuf, String)>,
    #[command(flatten)]
    pub(crate) process: Process,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// The configuration file that runs.
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The one that would.
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// Prints it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Fmt {
    /// The files, TOML; they are rewritten in place.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Rewrites nothing; exit code 1 if a file is not laid out so.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Print {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// As JSON, with every default filled in.
    #[arg(long)]
    pub(crate) resolved: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", required_unless_present = "docs")]
    pub(crate) config: Option<PathBuf>,
    /// `GET http://host/path`, a URL, or a path; without a method it is GET. Or a remote call,
    /// `Service.Method`.
    #[arg(value_name = "REQUEST", num_args = 1.., required_unless_present = "docs")]
    pub(crate) request: Vec<String>,
    /// A header field of the request, which routes may go by; may be repeated.
    #[arg(long = "header", value_name = "KEY: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Prints it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints the page of a part of policies; without a name, lists them.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "",
        conflicts_with_all = ["config", "request", "json", "headers"])]
    pub(crate) docs: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("calls").required(true))]
pub(crate) struct Simulate {
    /// Recorded calls, one JSON object a line; `-` reads standard input.
    #[arg(long, value_name = "FILE", group = "calls", requires = "config", requires = "policy")]
    pub(crate) trace: Option<PathBuf>,
    /// Modelled traffic and servers, TOML.
    #[arg(long, value_name = "FILE", group = "calls")]
    pub(crate) scenario: Option<PathBuf>,
    /// The configuration file that holds the policy.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The policy; a scenario names its own.
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    pub(crate) policy: Option<String>,
    /// Feeds every random choice; default what the scenario says, else 1.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Writes every decision to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Prints the summary as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Call {
    /// The server: HOST:PORT, or a URL such as `gob://127.0.0.1:1234`.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    /// What is called.
    #[arg(value_name = "SERVICE.METHOD")]
    pub(crate) method: String,
    /// The argument, in JSON.
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) argument: String,
    /// How to speak to it; default what a URL says, else gob.
    #[arg(long, value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// How long the call may take in all.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub(crate) timeout: Duration,
    /// What is sent along with the call, over the native protocol; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "KEY: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// The server: HOST:PORT, or a URL such as `native://127.0.0.1:1234`.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    /// How to speak to it; otherwise its page `/debug/rpc` is asked first, then the native protocol.
    #[arg(long, value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// How long to wait for each way of asking.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    pub(crate) timeout: Duration,
    /// Prints the list as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A protocol of remote calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// Go's net/rpc over gob.
    #[default]
    Gob,
    /// The same after an HTTP CONNECT, as Go's `rpc.HandleHTTP` serves it.
    Http,
    /// JSON-RPC 1.0, Go's net/rpc/jsonrpc.
    #[value(name = "json-rpc")]
    JsonRpc,
    /// JSON-RPC 2.0.
    #[value(name = "json-rpc2")]
    JsonRpc2,
    /// Locum's own.
    Native,
}

impl Protocol {
    /// Of an address, as a channel takes it.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Gob => "gob",
            Self::Http => "gob-http",
            Self::JsonRpc => "json-rpc",
            Self::JsonRpc2 => "json-rpc2",
            Self::Native => "native",
        }
    }
}

/// Reads an address to listen on.
pub(crate) fn bind(text: &str) -> Result<Bind, String> {
    text.parse().map_err(|expected| format!("write {expected}"))
}

fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(|expected| format!("write {expected}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    locum_policy::text::parse_duration(text).map_err(|error| error.to_string())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write 'Name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn policy(text: &str) -> Result<(PathBuf, String), String> {
    match text.rsplit_once('#') {
        Some((file, name)) if !file.is_empty() && !name.is_empty() => {
            Ok((file.into(), name.to_owned()))
        }
        _ => Err("write FILE#NAME".to_owned()),
    }
}
