//! A reverse proxy as one writes it with hyper and hyper-util: one thread, kept connections to the
//! origin.
//!
//! `hyper PORT HTTP2-PORT ORIGIN-PORT`, all of 127.0.0.1.

use std::env;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    origin: Authority,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let ports: std::result::Result<Vec<u16>, _> = env::args().skip(1).map(|p| p.parse()).collect();
    let [plain, http2, origin] = *ports? else {
        return Err("usage: hyper PORT HTTP2-PORT ORIGIN-PORT".into());
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(512).build(connector);
    let proxy = Proxy { client, origin: format!("127.0.0.1:{origin}").parse()? };
    let server = || auto::Builder::new(TokioExecutor::new());
    tokio::try_join!(
        serve(plain, server().http1_only(), proxy.clone()),
        serve(http2, server().http2_only(), proxy),
    )?;
    Ok(())
}

async fn serve(port: u16, server: auto::Builder<TokioExecutor>, proxy: Proxy) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, from) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (server, proxy) = (server.clone(), proxy.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| proxy.clone().forward(from.ip(), request));
            // Whatever ends a connection, the load sees it as well.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

impl Proxy {
    async fn forward(
        self,
        from: IpAddr,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>> {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.origin)
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build()?;
        *request.version_mut() = Version::HTTP_11;
        remove_hop_by_hop(request.headers_mut());
        let from = HeaderValue::from_str(&from.to_string())?;
        request.headers_mut().append(HeaderName::from_static("x-forwarded-for"), from);
        let mut response = self.client.request(request).await?;
        remove_hop_by_hop(response.headers_mut());
        Ok(response)
    }
}

/// RFC 9110 §7.6.1, as far as the load has any of it.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TE, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}
