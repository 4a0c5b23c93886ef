//! Calls to be counted: `cargo xtask bench counts` runs this under valgrind, or beside a proxy that is.
//!
//!     locum-count policies CALLS       calls through every policy, to a peer that answers at once
//!     locum-count library CALLS        remote calls over gob, client and server in one thread
//!     locum-count serve ADDRESS        a server of such calls
//!     locum-count call ADDRESS CALLS [PROTOCOL]
//!                                      such calls to a server elsewhere, over gob if nothing else is said
//!
//! One call after the other, so that every run does the same.

#![forbid(unsafe_code)]

use std::error::Error;

mod arith;
mod policies;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["policies", calls] => policies::call(calls.parse()?),
        ["library", calls] => arith::in_one_thread(calls.parse()?).await?,
        ["serve", address] => arith::serve(address).await?,
        ["call", address, calls] => arith::call("gob", address, calls.parse()?).await?,
        ["call", address, calls, protocol] => {
            arith::call(protocol, address, calls.parse()?).await?;
        }
        _ => return Err("locum-count policies|library|serve|call".into()),
    }
    Ok(())
}
