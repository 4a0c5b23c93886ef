//! capnp-rpc; all on one thread, as it wants.

use std::net::SocketAddr;
use std::rc::Rc;

use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio_util::compat::{TokioAsyncReadCompatExt as _, TokioAsyncWriteCompatExt as _};

use super::{FACTORS, PRODUCT, expect, payload};
use crate::Result;
use crate::load::{Report, drive_local};
use crate::shape::Shape;

mod bench_capnp {
    #![allow(warnings, clippy::all, reason = "it is generated")]
    include!(concat!(env!("OUT_DIR"), "/bench_capnp.rs"));
}
use bench_capnp::bench;

struct Server;

impl bench::Server for Server {
    async fn multiply(
        self: Rc<Self>,
        params: bench::MultiplyParams,
        mut results: bench::MultiplyResults,
    ) -> std::result::Result<(), capnp::Error> {
        let params = params.get()?;
        results.get().set_c(params.get_a() * params.get_b());
        Ok(())
    }

    async fn echo(
        self: Rc<Self>,
        params: bench::EchoParams,
        mut results: bench::EchoResults,
    ) -> std::result::Result<(), capnp::Error> {
        results.get().set_bytes(params.get()?.get_bytes()?);
        Ok(())
    }
}

type Network = VatNetwork<tokio_util::compat::Compat<tokio::net::tcp::OwnedReadHalf>>;

fn network(stream: TcpStream, side: Side) -> Result<Box<Network>> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let options = capnp::message::ReaderOptions::default();
    Ok(Box::new(VatNetwork::new(reader.compat(), writer.compat_write(), side, options)))
}

pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    let service: bench::Client = capnp_rpc::new_client(Server);
    loop {
        let (stream, _) = listener.accept().await?;
        let network = network(stream, Side::Server)?;
        spawn_local(RpcSystem::new(network, Some(service.client.clone())));
    }
}

pub(super) async fn load(server: SocketAddr, shape: Shape) -> Result<Report> {
    let mut clients = Vec::new();
    for _ in 0..shape.connections {
        let network = network(TcpStream::connect(server).await?, Side::Client)?;
        let mut system = RpcSystem::new(network, None);
        clients.push(system.bootstrap::<bench::Client>(Side::Server));
        spawn_local(system);
    }
    let (clients, payload): (Rc<[_]>, Rc<[u8]>) = (clients.into(), payload(&shape).into());
    drive_local(shape, move |connection| {
        let (clients, payload) = (Rc::clone(&clients), Rc::clone(&payload));
        async move {
            let client = &clients[connection];
            if payload.len() <= 8 {
                let mut request = client.multiply_request();
                request.get().set_a(FACTORS.0);
                request.get().set_b(FACTORS.1);
                expect(request.send().promise.await?.get()?.get_c() == PRODUCT)
            } else {
                let mut request = client.echo_request();
                request.get().set_bytes(&payload);
                let response = request.send().promise.await?;
                expect(response.get()?.get_bytes()?.len() == payload.len())
            }
        }
    })
    .await
}
