//! Loads for `cargo xtask bench`.
//!
//! `open ADDRESS ORIGIN RATE SEED CONNECTIONS WARM-UP-MS MEASURED-MS` makes requests when they are due, whether or not
//! those before were answered, is what the proxy stands before, and prints one line of JSON. `idle ADDRESS COUNT` opens
//! connections that make one request each and then nothing: first one, and after a line on standard input the others;
//! it says when, and holds them until standard input ends.

mod answer;
mod idle;
mod open;
mod origin;
mod schedule;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["open", numbers @ ..] => open(numbers),
        ["idle", address, count] => idle(address, count),
        _ => Err("usage: see the documentation of main.rs".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn open(numbers: &[&str]) -> Result<()> {
    let [address, origin, rate, seed, connections, warm_up, measured] = numbers else {
        return Err("two addresses and five numbers".into());
    };
    let load = open::Load {
        address: address.parse()?,
        origin: origin.parse()?,
        rate: rate.parse()?,
        seed: seed.parse()?,
        connections: connections.parse()?,
        warm_up: Duration::from_millis(warm_up.parse()?),
        measured: Duration::from_millis(measured.parse()?),
    };
    println!("{}", load.run()?);
    Ok(())
}

fn idle(address: &str, count: &str) -> Result<()> {
    idle::hold(address.parse()?, count.parse()?)
}

/// What is asked for, by either.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n";
