//! Remote calls, and a server of them.

use std::error::Error;

use locum::{Cx, Policies, Server};

use service::{Args, Arith as _, ArithProxy, ArithServer, RealArith};

#[path = "../../../crates/locum/benches/shared/arith.rs"]
mod service;

const POLICIES: &str = "[policies.all]\n\
    timeout = \"60s\"\n\
    retry = { attempts = 3 }\n\
    breaker = {}\n";

/// Serves until the process ends.
pub(crate) async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    Ok(server(address).run().await?)
}

/// Calls a server in the same thread.
pub(crate) async fn in_one_thread(calls: u32) -> Result<(), Box<dyn Error>> {
    let bound = server("127.0.0.1:0").bind().await?;
    let address = bound.addresses()[0].to_string();
    tokio::spawn(bound.run());
    call("gob", address.trim_start_matches("tcp://"), calls).await
}

/// Calls the server at `address` over `protocol`, one call after the other.
pub(crate) async fn call(protocol: &str, address: &str, calls: u32) -> Result<(), Box<dyn Error>> {
    let policies = Policies::parse(POLICIES)?;
    let all = policies.get("all").expect("it stands above").clone();
    let arith = ArithProxy::connect(format!("{protocol}://{address}")).policy(all).build()?;
    let cx = Cx::new();
    for number in 0..i64::from(calls) {
        let product = arith.multiply(&cx, Args { a: number, b: 7 }).await?;
        assert_eq!(product, number * 7);
    }
    Ok(())
}

fn server(address: &str) -> Server {
    Server::new().serve(ArithServer::new(RealArith)).listen(&format!("tcp://{address}"))
}
