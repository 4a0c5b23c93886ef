//! What these tests share.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use locum_testkit::clock::PATIENCE;
use locum_testkit::{Answer, Args, Calls, Go, GoServer, Locum, Mode, NetRpc};
use serde_json::Value;

use crate::setup::Config;

/// The newest Go that is there, if one is.
pub(super) fn newest_go() -> Option<Go> {
    Go::all().pop()
}

/// Any free port of the loopback.
pub(super) const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server of net/rpc.
pub(super) fn gob_server(go: &Go) -> GoServer {
    go.server(Mode::Gob, ANYWHERE)
}

/// Every call goes to these servers, which speak gob.
pub(super) fn to(servers: &[&GoServer]) -> Config {
    Config::calls_to("gob", servers.iter().map(|server| server.address))
}

/// What makes a call that is lost one that is made again.
pub(super) const RETRIES: &str = "idempotent = true\n\
    retry = { attempts = 5, base = \"1ms\", budget = { ratio = 1.0, min_per_second = 10000 } }";

/// A connection to the listener `rpc`.
pub(super) fn client(locum: &Locum) -> NetRpc {
    NetRpc::connect(locum.address("rpc"))
}

/// The argument of `Arith`'s methods.
pub(super) fn factors(a: i64, b: i64) -> Vec<(&'static str, i64)> {
    vec![("A", a), ("B", b)]
}

/// Has 6 and 7 multiplied.
pub(super) fn multiply(client: &mut NetRpc) -> Answer {
    client.call("Arith.Multiply", Args::Ints("Args", &factors(6, 7)))
}

/// Begins a call that waits until its key is released.
pub(super) fn hold(client: &mut NetRpc, key: i64) -> u64 {
    client.begin("Slow.Hold", Args::Ints("HoldArgs", &[("Key", key)]))
}

/// How many calls wait at the server with this key.
pub(super) fn held(server: &GoServer, key: i64) -> i64 {
    NetRpc::connect(server.address).call("Slow.Held", Args::Int(key)).int()
}

/// Lets them go.
pub(super) fn release(server: &GoServer, key: i64) {
    assert!(NetRpc::connect(server.address).call("Slow.Release", Args::Int(key)).truth());
}

/// How many attempts at an endpoint have ended.
pub(super) fn attempts_at(locum: &Locum, server: SocketAddr) -> f64 {
    let endpoint = server.to_string();
    locum.metric("locum_attempt_duration_seconds_count", &[("endpoint", &endpoint)])
}

/// A few callers on a few connections, until they are told to stop.
pub(super) const SOME: Calls = Calls { connections: 8, callers: 2, calls: 0 };

/// A client of JSON-RPC, a line a call.
pub(super) struct JsonRpc(BufReader<TcpStream>);

impl JsonRpc {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit above zero");
        Self(BufReader::new(stream))
    }

    /// Sends the text and reads one line.
    pub(super) fn call(&mut self, text: &str) -> Value {
        self.0.get_mut().write_all(text.as_bytes()).expect("it reads");
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{text} => {line:?}: {error}"))
    }
}
