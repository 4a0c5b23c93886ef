//! What the proxies are asked, how often at once, and over which wire.

use std::borrow::Cow;

use super::peer::Peer;

/// One way to load a proxy.
pub(super) struct Scenario {
    pub(super) name: Cow<'static, str>,
    pub(super) load: Load,
    /// Where of a proxy it is asked.
    pub(super) port: Port,
    path: &'static str,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Load {
    /// `wrk`, HTTP/1.1. The words are its arguments.
    Wrk { connections: u32, words: &'static [&'static str], script: Option<Script> },
    /// `h2load`, HTTP/2, each connection with so many requests at a time.
    H2load { connections: u32, streams: u32 },
}

/// What decides what wrk asks for.
#[derive(Clone, Copy)]
pub(super) struct Script {
    /// Below `bench/`.
    pub(super) file: &'static str,
    /// What it is told.
    pub(super) argument: usize,
}

/// Of a proxy, by what is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Plain,
    /// HTTP/2 in the clear, without an upgrade.
    PlainHttp2,
    Tls,
}

pub(super) static SCENARIOS: [Scenario; 7] = [
    wrk("64 connections", 64, Port::Plain),
    wrk("512 connections", 512, Port::Plain),
    Scenario {
        name: Cow::Borrowed("64 connections, a new one for each request"),
        load: Load::Wrk { connections: 64, words: &["-H", "Connection: close"], script: None },
        port: Port::Plain,
        path: "/",
    },
    Scenario {
        name: Cow::Borrowed("16 connections, answers of 1 MiB"),
        load: Load::Wrk { connections: 16, words: &[], script: None },
        port: Port::Plain,
        path: "/mebibyte",
    },
    wrk("64 connections, TLS", 64, Port::Tls),
    h2load("HTTP/2, 16 connections with 16 requests each", Port::PlainHttp2),
    h2load("HTTP/2 under TLS, 16 connections with 16 requests each", Port::Tls),
];

const fn wrk(name: &'static str, connections: u32, port: Port) -> Scenario {
    let load = Load::Wrk { connections, words: &[], script: None };
    Scenario { name: Cow::Borrowed(name), load, port, path: "/" }
}

const fn h2load(name: &'static str, port: Port) -> Scenario {
    let load = Load::H2load { connections: 16, streams: 16 };
    Scenario { name: Cow::Borrowed(name), load, port, path: "/" }
}

impl Scenario {
    /// 64 connections, which ask for what a script says.
    pub(super) fn scripted(name: String, script: Option<Script>) -> Self {
        let load = Load::Wrk { connections: 64, words: &[], script };
        Self { name: Cow::Owned(name), load, port: Port::Plain, path: "/" }
    }

    /// What `peer` is asked for.
    pub(super) fn url(&self, peer: &Peer) -> String {
        let scheme = if self.port == Port::Tls { "https" } else { "http" };
        let address = peer.at(self.port);
        format!("{scheme}://{address}{}", self.path)
    }
}
