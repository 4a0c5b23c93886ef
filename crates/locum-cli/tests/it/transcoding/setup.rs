//! A gateway between HTTP and remote calls, and a service of ours behind it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use locum::server::{Drained, Handle};
use locum::{CallError, Cx, Server};
use locum_testkit::{Broken, Client, Locum, Response};
use serde::{Deserialize, Serialize};

use crate::setup::locum;

/// The listeners `web` and `rpc` in front of one upstream.
#[derive(Clone, Copy)]
pub(super) struct Gateway {
    pub(super) protocol: &'static str,
    pub(super) server: SocketAddr,
    pub(super) listener: &'static str,
    pub(super) upstream: &'static str,
    pub(super) types: &'static str,
    pub(super) route: &'static str,
    pub(super) policy: &'static str,
}

impl Gateway {
    /// To a server that speaks this.
    pub(super) fn to(protocol: &'static str, server: SocketAddr) -> Self {
        Self { protocol, server, listener: "", upstream: "", types: "", route: "", policy: "" }
    }

    pub(super) fn start(&self) -> Locum {
        locum().config(self.config()).start()
    }

    pub(super) fn config(&self) -> String {
        let Self { protocol, server, listener, upstream, types, route, policy } = self;
        format!(
            r#"
            admin = {{ listen = "127.0.0.1:0" }}
            log = {{ access = "stdout" }}
            [listeners.web]
            bind = "127.0.0.1:0"
            protocol = "http"
            {listener}
            [listeners.rpc]
            bind = "127.0.0.1:0"
            protocol = "rpc"
            [upstreams.up]
            endpoints = ["{server}"]
            protocol = "{protocol}"
            {upstream}
            [policies.careful]
            {policy}
            [[routes]]
            name = "json"
            match = {{ path = "/rpc/*" }}
            transcode = {{ upstream = "up", types = {{ {types} }} }}
            policy = "careful"
            {route}
            [[routes]]
            name = "calls"
            match = {{ call = "*" }}
            upstream = "up"
            "#
        )
    }
}

/// Calls a method, on a connection that stays.
pub(super) fn call(client: &mut Client, method: &str, json: &str) -> Result<Response, Broken> {
    send(client, method, "Content-Type: application/json\r\n", json.as_bytes());
    client.response("POST")
}

/// Sends a call with these fields.
pub(super) fn send(client: &mut Client, method: &str, fields: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "POST /rpc/{method} HTTP/1.1\r\nHost: a.test\r\n{fields}Content-Length: {length}\r\n\r\n"
    );
    client.send([head.as_bytes(), body].concat());
}

/// The result of a call that succeeds.
pub(super) fn result(client: &mut Client, method: &str, json: &str) -> String {
    let answer = call(client, method, json).unwrap();
    assert_eq!(answer.status, 200, "{method} {json}: {}", answer.text());
    assert_eq!(answer.headers.get("content-type"), Some("application/json"));
    answer.text()
}

/// Whether an answer is a problem of this status, with these words in its detail.
pub(super) fn is_problem(answer: &Response, status: u16, words: &str) -> bool {
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap_or_default();
    answer.status == status
        && problem["status"] == status
        && answer.headers.get("content-type") == Some("application/problem+json")
        && detail.contains(words)
}

/// What a call cannot do without types: a float that may look like an int.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) amount: i32,
    pub(super) each: f64,
}

#[locum::service(name = "Shop")]
pub(super) trait Shop {
    async fn price(&self, order: Order) -> Result<f64, CallError>;
    /// What goes with the call.
    async fn seen(&self, cx: &Cx, name: String) -> Result<String, CallError>;
    /// Waits until it is given up.
    async fn forever(&self, cx: &Cx) -> Result<(), CallError>;
    async fn waiting(&self) -> Result<u32, CallError>;
    async fn panics(&self) -> Result<(), CallError>;
}

#[derive(Default)]
struct RealShop {
    waiting: AtomicUsize,
}

impl Shop for RealShop {
    async fn price(&self, order: Order) -> Result<f64, CallError> {
        Ok(f64::from(order.amount) * order.each)
    }

    async fn seen(&self, cx: &Cx, name: String) -> Result<String, CallError> {
        Ok(match &*name {
            "trace" => cx.trace().map(|trace| trace.to_string()).unwrap_or_default(),
            "time" => {
                let left = cx.remaining().map(|left| left.as_secs()).unwrap_or_default();
                format!("less than {}", left + 1)
            }
            name => cx.metadata().get(name).unwrap_or_default().to_owned(),
        })
    }

    async fn forever(&self, cx: &Cx) -> Result<(), CallError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        cx.cancelled().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    async fn waiting(&self) -> Result<u32, CallError> {
        Ok(self.waiting.load(Ordering::SeqCst) as u32)
    }

    async fn panics(&self) -> Result<(), CallError> {
        panic!("this is expected")
    }
}

/// A server of ours, which takes every protocol. It ends with the value.
pub(super) struct OurServer {
    pub(super) address: SocketAddr,
    handle: Handle,
    served: Option<JoinHandle<Drained>>,
}

impl OurServer {
    pub(super) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let server = Server::new().serve(ShopServer::new(RealShop::default()));
        let bound = runtime.block_on(server.listen("tcp://127.0.0.1:0").bind());
        let bound = bound.expect("a free port");
        let address = bound.addresses().first().expect("one listener").to_string();
        let address = address.strip_prefix("tcp://").unwrap_or(&address);
        let address = address.parse().expect("an address");
        let handle = bound.handle();
        let served = thread::spawn(move || runtime.block_on(bound.run()));
        Self { address, handle, served: Some(served) }
    }
}

impl Drop for OurServer {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(served) = self.served.take() {
            drop(served.join());
        }
    }
}
