//! tonic, with prost's messages.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

use super::{FACTORS, PRODUCT, expect, payload};
use crate::Result;
use crate::load::{Report, drive};
use crate::shape::Shape;

#[derive(Clone, prost::Message)]
pub(crate) struct Args {
    #[prost(int64, tag = "1")]
    a: i64,
    #[prost(int64, tag = "2")]
    b: i64,
}

#[derive(Clone, prost::Message)]
pub(crate) struct Product {
    #[prost(int64, tag = "1")]
    c: i64,
}

#[derive(Clone, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

mod generated {
    include!(concat!(env!("OUT_DIR"), "/bench.Bench.rs"));
}
use generated::bench_client::BenchClient;
use generated::bench_server::{Bench, BenchServer};

struct Service;

#[tonic::async_trait]
impl Bench for Service {
    async fn multiply(
        &self,
        args: Request<Args>,
    ) -> std::result::Result<Response<Product>, Status> {
        let Args { a, b } = args.into_inner();
        Ok(Response::new(Product { c: a * b }))
    }

    async fn echo(
        &self,
        payload: Request<Payload>,
    ) -> std::result::Result<Response<Payload>, Status> {
        Ok(Response::new(payload.into_inner()))
    }
}

pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().add_service(BenchServer::new(Service));
    Ok(server.serve_with_incoming(incoming).await?)
}

pub(super) async fn load(server: SocketAddr, shape: Shape) -> Result<Report> {
    let mut clients = Vec::new();
    for _ in 0..shape.connections {
        let channel = Endpoint::from_shared(format!("http://{server}"))?.connect().await?;
        clients.push(BenchClient::new(channel));
    }
    let (clients, payload): (Arc<[_]>, _) = (clients.into(), Bytes::from(payload(&shape)));
    drive(shape, move |connection| {
        // A client is as cheap to clone as its channel, and its calls want it for themselves.
        let (mut client, bytes) = (clients[connection].clone(), payload.clone());
        async move {
            if bytes.len() <= 8 {
                let (a, b) = FACTORS;
                expect(client.multiply(Args { a, b }).await?.into_inner().c == PRODUCT)
            } else {
                let length = bytes.len();
                let echoed = client.echo(Payload { bytes }).await?.into_inner();
                expect(echoed.bytes.len() == length)
            }
        }
    })
    .await
}
