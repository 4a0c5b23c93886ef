//! The systems, each a server and a client of the same two methods.

mod capnp;
mod locum;
mod tarpc;
mod tonic;
mod volo;

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::Result;
use crate::load::Report;
use crate::shape::Shape;

/// Says where it listens, and serves until it is killed.
pub(crate) async fn serve(system: &str) -> Result<()> {
    if system == "locum" {
        return locum::serve().await;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    match system {
        "capnp" => capnp::serve(listener).await,
        "tarpc" => tarpc::serve(listener).await,
        "tonic" => tonic::serve(listener).await,
        "volo" => volo::serve(listener).await,
        _ => Err("no such server".into()),
    }
}

/// Calls until it is over.
pub(crate) async fn load(system: &str, server: SocketAddr, shape: Shape) -> Result<Report> {
    match system {
        "capnp" => capnp::load(server, shape).await,
        "gob" | "json-rpc" | "native" => locum::load(system, server, shape).await,
        "tarpc" => tarpc::load(server, shape).await,
        "tonic" => tonic::load(server, shape).await,
        "volo" => volo::load(server, shape).await,
        _ => Err("no such client".into()),
    }
}

/// What is multiplied, and what is echoed.
const FACTORS: (i64, i64) = (6, 7);
const PRODUCT: i64 = 42;

fn payload(shape: &Shape) -> Vec<u8> {
    vec![0x5a; shape.bytes]
}

fn expect(right: bool) -> Result<()> {
    if right { Ok(()) } else { Err("a wrong answer".into()) }
}
