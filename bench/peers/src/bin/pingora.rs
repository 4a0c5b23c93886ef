//! A reverse proxy as one writes it with pingora: one thread, kept connections to the origin.
//!
//! `pingora PORT HTTP2-PORT ORIGIN-PORT`, all of 127.0.0.1.

use std::env;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::apps::HttpServerOptions;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Forward {
    origin: SocketAddr,
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let ports: std::result::Result<Vec<u16>, _> = env::args().skip(1).map(|p| p.parse()).collect();
    let [plain, http2, origin] = *ports? else {
        return Err("usage: pingora PORT HTTP2-PORT ORIGIN-PORT".into());
    };
    // One thread has nobody to steal from.
    let settings = ServerConf {
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    for (port, h2c) in [(plain, false), (http2, true)] {
        let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, origin));
        let mut service = http_proxy_service(&server.configuration, Forward { origin });
        let mut options = HttpServerOptions::default();
        options.h2c = h2c;
        service.app_logic_mut().ok_or("a service without its logic")?.server_options =
            Some(options);
        service.add_tcp(&format!("127.0.0.1:{port}"));
        server.add_service(service);
    }
    server.run_forever()
}

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _: &mut (),
    ) -> Result<()> {
        if let Some(from) = session.client_addr().and_then(|address| address.as_inet()) {
            request.append_header("X-Forwarded-For", from.ip().to_string())?;
        }
        Ok(())
    }
}
