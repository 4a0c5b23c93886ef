//! Requests of the proxy's own: to whoever has keys, or a say in who may call.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use locum_wire::http1::{Chunked, Framing, Head, Limits, Piece};

use crate::buffer::{Buffer, Buffers};
use crate::clock::Alarms;
use crate::plan::Error;
use crate::stream::Stream;
use crate::tls::{Alpn, ClientSettings, Connector};
use crate::upstream::pool::{ConnectError, dial_to};

pub(crate) use answer::{Answer, Pairs};
pub(crate) use lines::Lines;
pub use url::Url;

mod answer;
pub(crate) mod grpc;
mod lines;
mod url;

/// A server that is asked.
pub(crate) struct Server {
    pub(crate) url: Url,
    /// Unique in the process: what connections go by.
    pub(crate) uid: u32,
    tls: Option<Connector>,
}

/// What it takes to ask.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) alarms: Rc<Alarms>,
}

/// A connection to a server.
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) buffer: Buffer,
}

/// An answer's head may be this large.
const LIMITS: Limits = Limits { head_bytes: 16 * 1024, fields: 100, target_bytes: 0 };
/// Interim answers before one; more is abuse.
const INTERIM: u32 = 8;

impl Server {
    /// The server at `url`, believed over TLS by the authorities `ca` (PEM), or those of the system, and spoken to as
    /// `alpn` says. `path` is where it is configured.
    pub(crate) fn build(
        url: &Url,
        ca: Option<&Vec<u8>>,
        alpn: Alpn,
        path: &str,
    ) -> Result<Self, Error> {
        let tls = if url.secure {
            let settings = ClientSettings { ca: ca.cloned(), ..ClientSettings::default() };
            let config = settings.build(alpn, path)?;
            Some(settings.connector(&config, &format!("{}:{}", url.host, url.port), path)?)
        } else {
            None
        };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Ok(Self { url: url.clone(), uid: NEXT.fetch_add(1, Ordering::Relaxed), tls })
    }

    /// Connects. Names are looked up anew each time: servers move.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the half-made connection.
    pub(crate) async fn connect(&self, timeout: Duration, means: &Means) -> Result<Line, String> {
        let addresses = self.addresses().await?;
        let Means { buffers, alarms } = means;
        let mut failure = format!("`{}` has no address", self.url.host);
        for address in addresses {
            let address = address.into();
            match dial_to(&address, &[], self.tls.as_ref(), timeout, buffers, alarms).await {
                Ok(stream) => return Ok(Line { stream, buffer: Buffer::new(buffers) }),
                Err(ConnectError::Failed(error)) => failure = format!("cannot connect: {error}"),
                Err(ConnectError::Handshake(error)) => return Err(format!("no TLS: {error}")),
                Err(ConnectError::TimedOut) => return Err("connecting took too long".to_owned()),
            }
        }
        Err(failure)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let Url { host, port, .. } = &self.url;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
            return Ok(vec![(address, *port).into()]);
        }
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let found = found.map_err(|error| format!("`{host}` cannot be looked up: {error}"))?;
        Ok(found.collect())
    }
}

impl Line {
    /// Whether nothing has come since the last answer: neither its end nor what nobody asked for.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        self.buffer.is_empty() && self.stream.peek(&mut cx).is_none()
    }

    /// Sends `request`, which is whole and no HEAD, and reads the answer, of whose body at most `most`
    /// bytes are taken.
    ///
    /// # Cancel safety
    ///
    /// The connection is of no use after the future was dropped.
    pub(crate) async fn ask(&mut self, request: &[u8], most: usize) -> Result<Answer, String> {
        let mut unsent = request;
        while !unsent.is_empty() {
            let sent = poll_fn(|cx| self.stream.poll_send(cx, unsent)).await;
            unsent = &unsent[sent.map_err(|error| format!("it takes no request: {error}"))?..];
        }
        let mut head = Head::new();
        let mut interim = 0;
        loop {
            if self.fill().await? == 0 {
                return Err("it closed the connection unanswered".to_owned());
            }
            let malformed = |error| format!("it answered malformed HTTP: {error}");
            while head.parse_response(self.buffer.filled(), &LIMITS).map_err(malformed)? {
                let response = head.response(self.buffer.filled());
                let status = response.status();
                if status >= 200 {
                    let framing = response.framing(false);
                    let reusable = response.reusable();
                    let fields = response.fields().filter(|field| !field.hop);
                    let fields = fields.map(|field| (field.name.into(), field.value.into()));
                    let fields = fields.collect();
                    self.buffer.consume(head.len());
                    let (body, trailers) = self.body(framing, most).await?;
                    let reusable = reusable && self.buffer.is_empty();
                    return Ok(Answer { status, fields, body, trailers, reusable });
                }
                interim += 1;
                if status == 101 || interim > INTERIM {
                    return Err("it does not come to the point".to_owned());
                }
                self.buffer.consume(head.len());
                head.clear();
                if self.buffer.is_empty() {
                    break;
                }
            }
        }
    }

    async fn fill(&mut self) -> Result<usize, String> {
        let filled = poll_fn(|cx| self.buffer.poll_fill(cx, &mut self.stream)).await;
        filled.map_err(|error| format!("the connection broke: {error}"))
    }

    /// The body and the trailers after it.
    async fn body(&mut self, framing: Framing, most: usize) -> Result<(Vec<u8>, Pairs), String> {
        let (mut body, mut trailers) = (Vec::new(), Pairs::new());
        let mut chunked = (framing == Framing::Chunked).then(|| Chunked::new(&LIMITS));
        let whole = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(usize::try_from(length).unwrap_or(usize::MAX)),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let too_large = || Err(format!("its answer has more than {most} bytes"));
        if whole.is_some_and(|whole| whole > most) {
            return too_large();
        }
        while whole != Some(body.len()) {
            if let Some(chunked) = &mut chunked {
                let malformed = |error| format!("its answer is malformed: {error}");
                let (used, piece) = chunked.next(self.buffer.filled()).map_err(malformed)?;
                match piece {
                    Piece::Data(range) => body.extend_from_slice(&self.buffer.filled()[range]),
                    Piece::NeedMore => {}
                    Piece::End => {
                        let found = chunked.trailers();
                        trailers.extend(found.map(|(name, value)| (name.into(), value.into())));
                        self.buffer.consume(used);
                        break;
                    }
                }
                self.buffer.consume(used);
            } else {
                let there = self.buffer.filled();
                let wanted =
                    whole.map_or(there.len(), |whole| (whole - body.len()).min(there.len()));
                body.extend_from_slice(&there[..wanted]);
                self.buffer.consume(wanted);
            }
            if body.len() > most {
                return too_large();
            }
            if self.buffer.is_empty() && whole != Some(body.len()) && self.fill().await? == 0 {
                return match framing {
                    Framing::UntilClose => Ok((body, trailers)),
                    _ => Err("its answer was cut short".to_owned()),
                };
            }
        }
        Ok((body, trailers))
    }
}

/// What comes of `work` within `time`.
///
/// # Cancel safety
///
/// Dropping the future gives the work up.
pub(crate) async fn within<T>(
    time: Duration,
    means: &Means,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let alarm = means.alarms.alarm();
    alarm.arm_in(time);
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Pending => alarm.poll(cx).map(|()| Err("it took too long".to_owned())),
        ready => ready,
    })
    .await
}
