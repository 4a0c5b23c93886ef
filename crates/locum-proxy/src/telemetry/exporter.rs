//! Sends what has gathered to the collector, on a thread of its own.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use locum_policy::Time;
use locum_wire::http1::encode::{self, field};
use locum_wire::protobuf::{Fields, Malformed, Value, Writer};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::queue::{Batch, Queue, Standing};
use super::{Protocol, Settings, Tracer};
use crate::buffer::Buffers;
use crate::clock::{Alarms, Source};
use crate::http2;
use crate::outgoing::{Line, Means, Server, grpc, within};
use crate::proxy::StartError;
use crate::random;
use crate::tls::Alpn;
use crate::upstream::{Address, Endpoint, EndpointSettings};

/// What workers tell is sent from here. Dropping it sends what is left, if the collector takes it at once.
pub(crate) struct Exporter {
    queue: Arc<Queue>,
    ratio: f64,
    thread: Option<JoinHandle<()>>,
}

/// Spans gather for so long before they are sent, unless a batch is full before.
const GATHER: Duration = Duration::from_secs(1);
/// A collector may take so long to be connected to, and so long for everything.
const CONNECT: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(10);
/// A batch that is not taken is sent so often, the first time again after this time, then after twice as long, and so on.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// What is left at the end may take so long altogether.
const LAST: Duration = Duration::from_secs(1);
/// An answer of the collector may be this large.
const ANSWER: usize = 64 * 1024;
/// What is called over gRPC.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

impl Exporter {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The authorities are none, or the system refuses a thread or its descriptors.
    pub(crate) fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { url, ca, protocol, .. } = &settings;
        let alpn = match protocol {
            Protocol::Grpc => Alpn::Http2,
            Protocol::Http => Alpn::Http1,
        };
        let server =
            Server::build(url, ca.as_ref(), alpn, "telemetry").map_err(StartError::Plan)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Io)?;
        let (queue, ratio) = (Arc::<Queue>::default(), settings.ratio);
        let of_thread = Arc::clone(&queue);
        let started =
            std::thread::Builder::new().name("locum-telemetry".to_owned()).spawn(move || {
                let sender = Sender::new(settings, server, of_thread);
                LocalSet::new().block_on(&runtime, sender.send_all());
            });
        Ok(Self { queue, ratio, thread: Some(started.map_err(StartError::Io)?) })
    }

    /// A worker's way to tell spans.
    pub(crate) fn tracer(&self) -> Tracer {
        Tracer::new(&self.queue, self.ratio)
    }

    /// Spans that the collector has taken, and that were lost.
    pub(crate) fn counts(&self) -> [u64; 2] {
        self.queue.counts()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to send.
            drop(thread.join());
        }
    }
}

/// Why a batch was not taken.
enum Refused {
    /// It would not be at another time either.
    ForGood(String),
    /// Nobody answered, or not now.
    ForNow(String),
}

struct Sender {
    settings: Settings,
    server: Server,
    queue: Arc<Queue>,
    /// `ResourceSpans.resource`.
    resource: Vec<u8>,
    means: Means,
    /// The connection of the last batch, where it takes another.
    line: Option<Line>,
    /// Batches before were not taken, and that was said.
    failing: bool,
}

impl Sender {
    fn new(settings: Settings, server: Server, queue: Arc<Queue>) -> Self {
        let mut resource = Vec::new();
        Writer(&mut resource).message(1, |out| {
            let mut text = |key: &str, value: &str| {
                out.message(1, |pair| {
                    pair.text(1, key);
                    pair.message(2, |any| any.text(1, value));
                });
            };
            text("service.name", &settings.service);
            text("service.version", env!("CARGO_PKG_VERSION"));
            // Several of a service are told apart by this alone.
            text("service.instance.id", &format!("{:016x}{:016x}", random::seed(), random::seed()));
            text("telemetry.sdk.name", "locum");
            text("telemetry.sdk.language", "rust");
        });
        let means = Means { buffers: Buffers::new(), alarms: Alarms::new(Source::System) };
        Self { settings, server, queue, resource, means, line: None, failing: false }
    }

    /// Sends whatever comes, until nothing more does.
    async fn send_all(mut self) {
        let alarms = Rc::clone(&self.means.alarms);
        spawn_local(async move { alarms.drive().await });
        let queue = Arc::clone(&self.queue);
        let late = async {
            queue.closed().await;
            sleep(LAST).await;
        };
        tokio::select! {
            () = self.go_on() => {}
            () = late => tracing::warn!("the last spans were not sent in time"),
        }
    }

    async fn go_on(&mut self) {
        loop {
            self.queue.until(|standing| standing != Standing::Empty).await;
            // If it is full or closed before, so much the better.
            let ready = |standing| matches!(standing, Standing::Full | Standing::Closed);
            drop(timeout(GATHER, self.queue.until(ready)).await);
            match self.queue.take() {
                Some(batch) => self.deliver(batch).await,
                None if self.queue.standing() == Standing::Closed => return,
                None => {}
            }
        }
    }

    /// Sends a batch, several times if need be.
    async fn deliver(&mut self, batch: Batch) {
        let request = self.request(&batch);
        let mut pause = PAUSE;
        for again in 1..=TRIES {
            let sent = self.send(&request).await;
            let why = match sent {
                Ok(rejected) => {
                    let rejected = rejected.min(batch.spans);
                    self.queue.count_sent(batch.spans - rejected);
                    self.queue.count_dropped(rejected);
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(collector = %self.settings.url, "spans are taken again");
                    }
                    return;
                }
                Err(Refused::ForGood(why)) => {
                    self.complain(&why);
                    break;
                }
                Err(Refused::ForNow(why)) => why,
            };
            self.complain(&why);
            if again == TRIES || timeout(pause, self.queue.closed()).await.is_ok() {
                break;
            }
            pause *= 2;
        }
        self.queue.count_dropped(batch.spans);
    }

    /// Once, until they are taken again.
    fn complain(&mut self, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(collector = %self.settings.url, why, "spans are not taken");
        }
    }

    /// An `ExportTraceServiceRequest`.
    fn request(&self, batch: &Batch) -> Vec<u8> {
        let mut request = Vec::with_capacity(batch.bytes.len() + self.resource.len() + 64);
        Writer(&mut request).message(1, |resource_spans| {
            resource_spans.0.extend_from_slice(&self.resource);
            resource_spans.message(2, |scope_spans| {
                scope_spans.message(1, |scope| {
                    scope.text(1, "locum");
                    scope.text(2, env!("CARGO_PKG_VERSION"));
                });
                scope_spans.0.extend_from_slice(&batch.bytes);
            });
        });
        request
    }

    /// Sends a request, and tells how many of its spans were not taken.
    async fn send(&mut self, request: &[u8]) -> Result<u64, Refused> {
        let means = self.means.clone();
        let sending = async {
            match self.settings.protocol {
                Protocol::Grpc => self.call(request).await,
                Protocol::Http => self.post(request).await,
            }
        };
        let sent = within(PATIENCE, &means, async { Ok(sending.await) }).await;
        sent.unwrap_or_else(|why| Err(Refused::ForNow(why)))
    }

    async fn call(&self, request: &[u8]) -> Result<u64, Refused> {
        let Settings { url, headers, .. } = &self.settings;
        let Line { stream, buffer } =
            self.server.connect(CONNECT, &self.means).await.map_err(Refused::ForNow)?;
        if stream.is_secure() && !stream.carries_http2() {
            return Err(Refused::ForNow("it does not agree on HTTP/2".to_owned()));
        }
        let Means { buffers, alarms } = &self.means;
        let stream = http2::alone(stream, &endpoint(&url.authority), buffers, alarms);
        let mut line = Line { stream, buffer };
        let called = grpc::call(&mut line, &url.authority, EXPORT, headers, request, ANSWER);
        match called.await.map_err(Refused::ForNow)? {
            Ok(answer) => rejected(&answer),
            Err(status) => {
                let why = format!("it answered {}", status.name());
                // The OTLP specification, "Failures".
                Err(match status.0 {
                    1 | 4 | 8 | 10 | 11 | 14 | 15 => Refused::ForNow(why),
                    _ => Refused::ForGood(why),
                })
            }
        }
    }

    async fn post(&mut self, content: &[u8]) -> Result<u64, Refused> {
        let url = &self.settings.url;
        let mut request =
            format!("POST {} HTTP/1.1\r\nHost: {}\r\n", url.target, url.authority).into_bytes();
        request.extend_from_slice(b"Content-Type: application/x-protobuf\r\nUser-Agent: locum\r\n");
        for (name, value) in &self.settings.headers {
            field(&mut request, name.as_bytes(), value.as_bytes());
        }
        encode::content_length(&mut request, content.len() as u64);
        request.extend_from_slice(encode::CRLF);
        request.extend_from_slice(content);
        let kept = self.line.take().and_then(|mut line| line.is_quiet().then_some(line));
        let mut line = match kept {
            Some(line) => line,
            None => self.server.connect(CONNECT, &self.means).await.map_err(Refused::ForNow)?,
        };
        let answer = line.ask(&request, ANSWER).await.map_err(Refused::ForNow)?;
        if answer.reusable {
            self.line = Some(line);
        }
        match answer.status {
            200..=299 => rejected(&answer.body),
            429 | 502..=504 => Err(Refused::ForNow(format!("it answered {}", answer.status))),
            status => Err(Refused::ForGood(format!("it answered {status}"))),
        }
    }
}

/// How many spans an `ExportTraceServiceResponse` says were not taken.
fn rejected(answer: &[u8]) -> Result<u64, Refused> {
    let read = || {
        let mut rejected = 0;
        for field in Fields::of(answer) {
            let (1, Value::Bytes(partial)) = field? else { continue };
            for field in Fields::of(partial) {
                if let (1, Value::Number(count)) = field? {
                    rejected = count;
                }
            }
        }
        Ok(rejected)
    };
    read().map_err(|error: Malformed| Refused::ForGood(format!("its answer is {error}")))
}

/// The collector as the engine of HTTP/2 wants to know it.
fn endpoint(name: &str) -> Arc<Endpoint> {
    // It is connected to already.
    let settings = EndpointSettings::new(name, Address::Tcp(([0, 0, 0, 0], 0).into()));
    Arc::new(Endpoint::new(&settings, None, None, Time::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_says_how_many_it_has_not_taken() {
        let mut answer = Vec::new();
        Writer(&mut answer).message(1, |partial| {
            partial.number(1, 7);
            partial.text(2, "too old");
        });
        assert!(matches!(rejected(&answer), Ok(7)));
        assert!(matches!(rejected(b""), Ok(0)));
        assert!(matches!(rejected(b"\x0a\xff"), Err(Refused::ForGood(_))));
    }
}
