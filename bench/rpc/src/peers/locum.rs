//! Locum: one server for every protocol, and a client by the URL of the protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use locum::gob::Bytes;
use locum::transport::Address;
use locum::{CallError, Server};
use serde::{Deserialize, Serialize};

use super::{FACTORS, PRODUCT, expect, payload};
use crate::Result;
use crate::load::{Report, drive};
use crate::shape::Shape;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Args {
    a: i64,
    b: i64,
}

#[locum::service]
pub(crate) trait Bench {
    async fn multiply(&self, args: Args) -> std::result::Result<i64, CallError>;
    async fn echo(&self, bytes: Bytes) -> std::result::Result<Bytes, CallError>;
}

struct Service;

impl Bench for Service {
    async fn multiply(&self, args: Args) -> std::result::Result<i64, CallError> {
        Ok(args.a * args.b)
    }

    async fn echo(&self, bytes: Bytes) -> std::result::Result<Bytes, CallError> {
        Ok(bytes)
    }
}

pub(super) async fn serve() -> Result<()> {
    let server = Server::new().serve(BenchServer::new(Service)).listen("tcp://127.0.0.1:0");
    let server = server.bind().await?;
    let address = server.addresses().first().map(Address::to_string).unwrap_or_default();
    println!("{}", address.trim_start_matches("tcp://"));
    server.run().await;
    Ok(())
}

pub(super) async fn load(scheme: &str, server: SocketAddr, shape: Shape) -> Result<Report> {
    let client = |_| BenchProxy::connect(format!("{scheme}://{server}")).build();
    let clients: Arc<[_]> =
        (0..shape.connections).map(client).collect::<std::result::Result<_, _>>()?;
    let payload: Arc<[u8]> = payload(&shape).into();
    drive(shape, move |connection| {
        let (clients, payload) = (Arc::clone(&clients), Arc::clone(&payload));
        async move {
            let client = &clients[connection];
            if payload.len() <= 8 {
                let (a, b) = FACTORS;
                expect(client.multiply(Args { a, b }).await? == PRODUCT)
            } else {
                let echoed = client.echo(Bytes(payload.to_vec())).await?;
                expect(echoed.len() == payload.len())
            }
        }
    })
    .await
}
