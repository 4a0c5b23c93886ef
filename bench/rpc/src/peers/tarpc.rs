//! tarpc over its bincode transport.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tarpc::server::{BaseChannel, Channel as _};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tarpc::{client, context, serde_transport};
use tokio::net::{TcpListener, TcpStream};

use super::{FACTORS, PRODUCT, expect, payload};
use crate::Result;
use crate::load::{Report, drive};
use crate::shape::Shape;

#[derive(Debug, Serialize, Deserialize)]
pub struct Args {
    a: i64,
    b: i64,
}

#[tarpc::service]
trait Bench {
    async fn multiply(args: Args) -> i64;
    async fn echo(bytes: Vec<u8>) -> Vec<u8>;
}

#[derive(Clone)]
struct Server;

impl Bench for Server {
    async fn multiply(self, _: context::Context, args: Args) -> i64 {
        args.a * args.b
    }

    async fn echo(self, _: context::Context, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}

fn framed(stream: TcpStream) -> Result<Framed<TcpStream, LengthDelimitedCodec>> {
    stream.set_nodelay(true)?;
    Ok(Framed::new(stream, LengthDelimitedCodec::new()))
}

pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let transport = serde_transport::new(framed(stream)?, Bincode::default());
        let calls = BaseChannel::with_defaults(transport).execute(Server.serve());
        tokio::spawn(calls.for_each(|call| async { drop(tokio::spawn(call)) }));
    }
}

pub(super) async fn load(server: SocketAddr, shape: Shape) -> Result<Report> {
    let mut clients = Vec::new();
    for _ in 0..shape.connections {
        let stream = TcpStream::connect(server).await?;
        let transport = serde_transport::new(framed(stream)?, Bincode::default());
        clients.push(BenchClient::new(client::Config::default(), transport).spawn());
    }
    let (clients, payload): (Arc<[_]>, Arc<[u8]>) = (clients.into(), payload(&shape).into());
    drive(shape, move |connection| {
        let (clients, payload) = (Arc::clone(&clients), Arc::clone(&payload));
        async move {
            let client = &clients[connection];
            if payload.len() <= 8 {
                let (a, b) = FACTORS;
                expect(client.multiply(context::current(), Args { a, b }).await? == PRODUCT)
            } else {
                let echoed = client.echo(context::current(), payload.to_vec()).await?;
                expect(echoed.len() == payload.len())
            }
        }
    })
    .await
}
