//! A collector of traces, which reads them by OpenTelemetry's own definitions: the program in `python/`.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::grpc::{program, python};
use crate::upstream::lock;

/// A running collector. Dropping it kills it.
#[derive(Debug)]
pub struct Collector {
    /// Where it takes OTLP/gRPC.
    pub grpc: SocketAddr,
    /// Where it takes OTLP/HTTP.
    pub http: SocketAddr,
    child: Child,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    /// One that takes everything; `None`, and it is said loudly, where Python has not what it takes.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// One that answers the first so many requests as if it were overloaded.
    pub fn that_fails_first(requests: u32) -> Option<Self> {
        Self::with(&["fail", &requests.to_string()])
    }

    /// One that takes requests and answers none.
    pub fn that_hangs() -> Option<Self> {
        Self::with(&["hang"])
    }

    fn with(arguments: &[&str]) -> Option<Self> {
        let what =
            "import grpc; from opentelemetry.proto.collector.trace.v1 import trace_service_pb2";
        let found = python().args(["-c", what]).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            // Past the capture of a test's output, or nobody would see it.
            drop(writeln!(
                io::stderr(),
                "SKIPPED real OpenTelemetry: no grpcio and opentelemetry-proto for python3, nor in LOCUM_PYTHON"
            ));
            return None;
        }
        let mut child = program("otlp_collector.py")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it listens");
        let addresses = line.trim().split_once(' ');
        let (grpc, http) = addresses.unwrap_or_else(|| panic!("no two addresses: {line:?}"));
        let [grpc, http] = [grpc, http].map(|address| address.parse().expect("an address"));
        let spans = Arc::<Mutex<Vec<Value>>>::default();
        thread::spawn({
            let spans = Arc::clone(&spans);
            move || {
                for line in output.lines().map_while(Result::ok) {
                    let span = serde_json::from_str(&line);
                    lock(&spans).push(span.unwrap_or_else(|error| panic!("{error} in {line}")));
                }
            }
        });
        Some(Self { grpc, http, child, spans })
    }

    /// The spans that have arrived, in their order.
    pub fn spans(&self) -> Vec<Value> {
        lock(&self.spans).clone()
    }

    /// Waits until so many have arrived, and gives them.
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        crate::eventually(&format!("{count} spans arrive"), || self.spans().len() >= count);
        self.spans()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
