//! volo-thrift, with many calls on one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use pilota::Bytes;
use tokio::net::TcpListener;
use volo::net::incoming::DefaultIncoming;

use super::{FACTORS, PRODUCT, expect, payload};
use crate::Result;
use crate::load::{Report, drive};
use crate::shape::Shape;

mod generated {
    #![allow(warnings, clippy::all, reason = "it is generated")]
    volo::include_service!("volo_gen.rs");
}
use generated::volo_gen::bench::{Args, Bench, BenchClientBuilder, BenchServer};

struct Service;

impl Bench for Service {
    async fn multiply(&self, args: Args) -> std::result::Result<i64, volo_thrift::ServerError> {
        Ok(args.a * args.b)
    }

    async fn echo(&self, bytes: Bytes) -> std::result::Result<Bytes, volo_thrift::ServerError> {
        Ok(bytes)
    }
}

pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    let server = BenchServer::new(Service).multiplex(true);
    server.run(DefaultIncoming::from(listener)).await.map_err(|error| error.to_string().into())
}

pub(super) async fn load(server: SocketAddr, shape: Shape) -> Result<Report> {
    // Each client has a connection of its own.
    let client = |_| BenchClientBuilder::new("bench").address(server).multiplex(true).build();
    let clients: Arc<[_]> = (0..shape.connections).map(client).collect();
    let payload = Bytes::from(payload(&shape));
    drive(shape, move |connection| {
        let (clients, bytes) = (Arc::clone(&clients), payload.clone());
        async move {
            let client = &clients[connection];
            if bytes.len() <= 8 {
                let (a, b) = FACTORS;
                expect(client.multiply(Args { a, b }).await? == PRODUCT)
            } else {
                let length = bytes.len();
                expect(client.echo(bytes).await?.len() == length)
            }
        }
    })
    .await
}
