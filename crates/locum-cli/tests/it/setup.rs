//! What the tests share: the binary, and the plainest configuration.

use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use locum_testkit::{Launch, Locum, Upstream};

/// The binary under test: the one cargo built, or the one `LOCUM_BIN` names.
pub(crate) fn binary() -> PathBuf {
    env::var_os("LOCUM_BIN").map_or_else(|| env!("CARGO_BIN_EXE_locum").into(), PathBuf::from)
}

/// The program, to be configured and started.
pub(crate) fn locum() -> Launch {
    Locum::at(binary())
}

/// The program without a file, somewhere.
pub(crate) fn demo() -> Locum {
    let anywhere = ["--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    locum().arguments(&anywhere).start()
}

/// A configuration: the listener `web` (or `rpc`), the upstream `up`, the route `all`, and what a test
/// adds to each of them.
#[derive(Clone)]
pub(crate) struct Config {
    /// The listener's name and what it takes.
    listens: (&'static str, &'static str),
    endpoints: Vec<SocketAddr>,
    listener: Vec<String>,
    upstream: Vec<String>,
    route: Vec<String>,
    rest: Vec<String>,
}

impl Config {
    /// Everything goes to this upstream.
    pub(crate) fn to(upstream: &Upstream) -> Self {
        Self::to_addresses([upstream.address()])
    }

    /// Everything goes to these addresses.
    pub(crate) fn to_addresses(endpoints: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            listens: ("web", "http"),
            endpoints: endpoints.into_iter().collect(),
            listener: Vec::new(),
            upstream: Vec::new(),
            route: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Everything goes to where endpoints are found.
    pub(crate) fn to_found(discover: &str) -> Self {
        Self::to_addresses([]).upstream(&format!("discover = {{ {discover} }}"))
    }

    /// Every remote call goes to these addresses, which speak that protocol. The listener is `rpc`.
    pub(crate) fn calls_to(
        protocol: &str,
        endpoints: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        Self { listens: ("rpc", "rpc"), ..Self::to_addresses(endpoints) }
            .upstream(&format!("protocol = \"{protocol}\""))
            .route("match = { call = \"*\" }")
    }

    /// The listener takes this.
    pub(crate) fn takes(self, protocol: &'static str) -> Self {
        Self { listens: (self.listens.0, protocol), ..self }
    }

    /// With this line in the listener's table.
    pub(crate) fn listener(mut self, line: &str) -> Self {
        self.listener.push(line.to_owned());
        self
    }

    /// With this line in `[upstreams.up]`.
    pub(crate) fn upstream(mut self, line: &str) -> Self {
        self.upstream.push(line.to_owned());
        self
    }

    /// With this line in the route.
    pub(crate) fn route(mut self, line: &str) -> Self {
        self.route.push(line.to_owned());
        self
    }

    /// With the policy `careful` on the route, made of these lines.
    pub(crate) fn policy(self, lines: &str) -> Self {
        self.route("policy = \"careful\"").and(&format!("[policies.careful]\n{lines}"))
    }

    /// With these tables at the end.
    pub(crate) fn and(mut self, tables: &str) -> Self {
        self.rest.push(tables.to_owned());
        self
    }

    /// Starts the program with it.
    pub(crate) fn start(&self) -> Locum {
        locum().config(self.to_string()).start()
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.endpoints.iter().map(SocketAddr::to_string).collect();
        writeln!(f, "[admin]\nlisten = \"127.0.0.1:0\"\n")?;
        let (name, protocol) = self.listens;
        writeln!(f, "[listeners.{name}]\nbind = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"")?;
        writeln!(f, "{}\n", self.listener.join("\n"))?;
        writeln!(f, "[upstreams.up]\n{}", self.upstream.join("\n"))?;
        if !endpoints.is_empty() {
            writeln!(f, "endpoints = {endpoints:?}")?;
        }
        writeln!(f, "[[routes]]\nname = \"all\"\nupstream = \"up\"\n{}\n", self.route.join("\n"))?;
        writeln!(f, "{}", self.rest.join("\n\n"))
    }
}
