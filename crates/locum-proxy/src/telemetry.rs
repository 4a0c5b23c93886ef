//! Traces: what became of calls, told to a collector by OTLP.
//!
//! When a call is over that belongs to a trace which is followed, its worker writes its spans, in the form in which they
//! are sent. A thread of its own sends what has gathered. A collector that is slow or gone holds up no call: there is
//! room for so many spans, and those that do not fit are dropped and counted.

use std::cell::Cell;
use std::sync::Arc;

use locum_wire::rpc::TraceParent;

use crate::outgoing::Url;
use crate::random::{self, Random};

pub(crate) use context::Context;
pub(crate) use exporter::Exporter;
pub(crate) use tell::Finished;
pub(crate) use traced::Traced;

use queue::Queue;

mod context;
mod exporter;
mod queue;
mod redact;
mod span;
mod tell;
mod traced;

/// Where traces are told, and of which calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The collector.
    pub url: Url,
    /// How it is told.
    pub protocol: Protocol,
    /// The authorities that it is believed by over TLS (PEM); `None`: those of the system.
    pub ca: Option<Vec<u8>>,
    /// What every request to it carries, names in lower case. Values may be secrets.
    pub headers: Vec<(String, String)>,
    /// The share, from 0 to 1, of the calls that begin a trace. What belongs to one is told if that is.
    pub ratio: f64,
    /// As which service: `service.name`.
    pub service: String,
}

/// The ways to tell spans (OTLP 1.x).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC: a call of `TraceService/Export`, over HTTP/2.
    Grpc,
    /// OTLP/HTTP with protobuf: a `POST` to the URL's path, over HTTP/1.1.
    Http,
}

/// A worker's way to tell spans.
pub(crate) struct Tracer {
    queue: Arc<Queue>,
    /// Of 2^64 traces that begin here, so many are told of; `None`: all.
    share: Option<u64>,
    /// Of its own: what policies decide by is not to depend on whether anybody watches.
    random: Cell<Random>,
}

impl Tracer {
    fn new(queue: &Arc<Queue>, ratio: f64) -> Self {
        Self {
            queue: Arc::clone(queue),
            // What a float cannot say exactly is rounded; at 1 nothing is.
            share: (ratio < 1.0).then_some((ratio.max(0.0) * 2_f64.powi(64)) as u64),
            random: Cell::new(Random::new(random::seed())),
        }
    }

    /// A call's place in its trace, or in one that begins with it; `None`: it stays in that of its caller, which is told
    /// of by nobody.
    pub(crate) fn begin(&self, parent: Option<TraceParent>) -> Option<Context> {
        match parent {
            Some(parent) if parent.flags & context::SAMPLED == 0 => None,
            Some(parent) => Some(Context::child(parent, self.random())),
            None => {
                let sampled = self.share.is_none_or(|share| self.random() < share);
                let trace = u128::from(self.random()) << 64 | u128::from(self.random());
                Some(Context::root(trace, self.random(), sampled))
            }
        }
    }

    /// Tells the spans of one call, `count` of them, that `write` writes into the empty `buffer`.
    fn tell(&self, mut buffer: Vec<u8>, count: u64, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        write(&mut buffer);
        self.queue.push(&buffer, count);
        buffer
    }

    fn random(&self) -> u64 {
        let mut random = self.random.take();
        let number = random.next();
        self.random.set(random);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(ratio: f64) -> Tracer {
        Tracer::new(&Arc::default(), ratio)
    }

    #[test]
    fn a_trace_is_followed_as_its_caller_says() {
        let parent = |flags: &str| {
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}").parse().ok()
        };
        let followed = tracer(0.0).begin(parent("01")).unwrap();
        assert!(followed.is_sampled());
        assert_eq!(followed.parent(), Some([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7]));
        assert!(tracer(1.0).begin(parent("00")).is_none());
        assert!(tracer(1.0).begin(parent("02")).is_none(), "another flag");
    }

    #[test]
    fn of_traces_that_begin_here_a_share_is_told() {
        for (ratio, expected) in [(0.0, 0..=0), (1.0, 10_000..=10_000), (0.2, 1_800..=2_200)] {
            let tracer = tracer(ratio);
            let begun: Vec<_> = (0..10_000).filter_map(|_| tracer.begin(None)).collect();
            assert_eq!(begun.len(), 10_000, "each belongs to a trace");
            let sampled = begun.iter().filter(|context| context.is_sampled()).count();
            assert!(expected.contains(&sampled), "{ratio}: {sampled}");
            assert!(begun.iter().all(|context| context.parent().is_none()));
        }
    }
}
