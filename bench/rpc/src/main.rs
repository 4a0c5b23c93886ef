//! One system as a server, or as the load of one.
//!
//! `serve SYSTEM RUNTIME` prints where it listens; `load SYSTEM RUNTIME ADDRESS PID CALLERS
//! CONNECTIONS BYTES WARM-UP-MS MEASURED-MS` prints one line of JSON. PID is the server's, whose
//! processor time is measured over the very window in which the calls are counted; of a proxy it is
//! PROXY+SERVER, and both are.

mod load;
mod peers;
mod shape;
mod window;

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use shape::Shape;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["serve", system, runtime] => serve(system, runtime),
        ["load", system, runtime, numbers @ ..] => load(system, runtime, numbers),
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

fn serve(system: &str, flavour: &str) -> Result<()> {
    // capnp's tasks are not `Send`; for the others a set makes no difference.
    LocalSet::new().block_on(&runtime(flavour)?, peers::serve(system))
}

fn load(system: &str, flavour: &str, numbers: &[&str]) -> Result<()> {
    let [address, pid, callers, connections, bytes, warm_up, measured] = numbers else {
        return Err("seven numbers".into());
    };
    let address: SocketAddr = address.parse()?;
    let (server, behind) = match pid.split_once('+') {
        Some((proxy, server)) => (proxy, Some(server.parse()?)),
        None => (*pid, None),
    };
    let shape = Shape {
        callers: callers.parse()?,
        connections: connections.parse()?,
        bytes: bytes.parse()?,
        server: server.parse()?,
        behind,
        warm_up: Duration::from_millis(warm_up.parse()?),
        measured: Duration::from_millis(measured.parse()?),
    };
    let report =
        LocalSet::new().block_on(&runtime(flavour)?, peers::load(system, address, shape))?;
    println!("{report}");
    Ok(())
}

fn runtime(flavour: &str) -> Result<Runtime> {
    let mut builder = match flavour {
        "single" | "paced" => Builder::new_current_thread(),
        "multi" => Builder::new_multi_thread(),
        _ => return Err("a runtime is single, paced or multi".into()),
    };
    if flavour == "paced" {
        builder.on_thread_park(locum::pace::rest);
    }
    // Each side has one core; a second worker would only take turns with the first.
    Ok(builder.worker_threads(1).enable_all().build()?)
}
