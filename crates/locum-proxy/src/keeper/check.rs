//! Asks one endpoint now and then whether it works.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use locum_wire::http1::{Head, Limits};
use locum_wire::protobuf::{Fields, Value, Writer};
use locum_wire::proxy_protocol::Header;

use super::Keeper;
use crate::buffer::Buffer;
use crate::clock::now;
use crate::http2;
use crate::outgoing::{Line, grpc};
use crate::stream::Stream;
use crate::upstream::health::{Probe, Settings};
use crate::upstream::{Endpoint, pool};

/// The checks of one endpoint.
pub(super) struct Check {
    pub(super) upstream: Box<str>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) settings: Settings,
    /// It speaks HTTP/2; otherwise it does where TLS agrees on it.
    pub(super) http2: bool,
}

/// An answer's head may be this large.
const LIMITS: Limits = Limits { head_bytes: 16 * 1024, fields: 100, target_bytes: 0 };
/// A message about health may be this large.
const ANSWER: usize = 1024;

impl Check {
    /// Checks, until aborted.
    pub(super) async fn go_on(self, keeper: Rc<Keeper>) {
        let alarm = keeper.alarms.alarm();
        let mut due = self.settings.first(now(), keeper.random());
        loop {
            alarm.arm(due);
            poll_fn(|cx| alarm.poll(cx)).await;
            let began = now();
            let checked = self.once(&keeper).await;
            self.note(checked);
            due = self.settings.next(began, keeper.random());
        }
    }

    /// Asks once.
    ///
    /// # Errors
    ///
    /// Why the endpoint does not work, in words.
    async fn once(&self, keeper: &Keeper) -> Result<(), String> {
        let alarm = keeper.alarms.alarm();
        alarm.arm(now() + self.settings.timeout);
        let mut asking = pin!(self.ask(keeper));
        poll_fn(|cx| match asking.as_mut().poll(cx) {
            Poll::Pending => alarm.poll(cx).map(|()| Err("it took too long".to_owned())),
            ready => ready,
        })
        .await
    }

    async fn ask(&self, keeper: &Keeper) -> Result<(), String> {
        let Settings { probe, timeout, .. } = &self.settings;
        let dialled =
            pool::dial(&self.endpoint, &Header::Local, *timeout, &keeper.buffers, &keeper.alarms)
                .await;
        let mut stream = dialled.map_err(|error| error.to_string())?;
        match probe {
            Probe::Tcp => Ok(()),
            Probe::Http { path, host, status } => {
                let host = host.as_deref().unwrap_or_else(|| self.endpoint.host());
                if self.http2 || stream.carries_http2() {
                    stream = self.over_http2(stream, keeper)?;
                }
                let answer = get(&mut stream, path, host, keeper).await?;
                let is_good = |good: &RangeInclusive<u16>| good.contains(&answer);
                match status.iter().any(is_good) {
                    true => Ok(()),
                    false => Err(format!("it answered {answer}")),
                }
            }
            Probe::Grpc { service } => {
                let stream = self.over_http2(stream, keeper)?;
                let mut line = Line { stream, buffer: Buffer::new(&keeper.buffers) };
                serving(&mut line, self.endpoint.host(), service).await
            }
        }
    }

    /// The connection as one request of HTTP/2.
    fn over_http2(&self, stream: Stream, keeper: &Keeper) -> Result<Stream, String> {
        if stream.is_secure() && !stream.carries_http2() {
            return Err("it does not agree on HTTP/2".to_owned());
        }
        Ok(http2::alone(stream, &self.endpoint, &keeper.buffers, &keeper.alarms))
    }

    fn note(&self, checked: Result<(), String>) {
        let Self { upstream, endpoint, settings, .. } = self;
        let why = checked.clone().err();
        match endpoint.learn(checked, settings, now()) {
            None => {}
            Some(true) => {
                tracing::info!(upstream, endpoint = endpoint.name, "an endpoint is up again")
            }
            Some(false) => {
                tracing::warn!(upstream, endpoint = endpoint.name, why, "an endpoint is down");
            }
        }
    }
}

/// Whether a server of gRPC says that `service` is served (grpc.health.v1).
async fn serving(line: &mut Line, host: &str, service: &str) -> Result<(), String> {
    let mut request = Vec::new();
    if !service.is_empty() {
        Writer(&mut request).text(1, service);
    }
    let called = grpc::call(line, host, "/grpc.health.v1.Health/Check", &[], &request, ANSWER);
    let answer = called.await?.map_err(|status| format!("it answered {}", status.name()))?;
    let mut status = 0;
    for field in Fields::of(&answer) {
        if let (1, Value::Number(number)) =
            field.map_err(|error| format!("its answer is {error}"))?
        {
            status = number;
        }
    }
    match status {
        1 => Ok(()),
        2 => Err("it says NOT_SERVING".to_owned()),
        3 => Err("it says SERVICE_UNKNOWN".to_owned()),
        _ => Err("it says UNKNOWN".to_owned()),
    }
}

/// The status of the answer to a `GET`. The rest of the answer is not read.
async fn get(stream: &mut Stream, path: &str, host: &str, keeper: &Keeper) -> Result<u16, String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: locum-health\r\nConnection: close\r\n\r\n"
    );
    let mut unsent = request.as_bytes();
    while !unsent.is_empty() {
        let sent = poll_fn(|cx| stream.poll_send(cx, unsent)).await;
        unsent = &unsent[sent.map_err(|error| format!("it takes no request: {error}"))?..];
    }
    let mut buffer = Buffer::new(&keeper.buffers);
    let mut head = Head::new();
    loop {
        let filled = poll_fn(|cx| buffer.poll_fill(cx, stream)).await;
        if filled.map_err(|error| format!("it did not answer: {error}"))? == 0 {
            return Err("it closed the connection unanswered".to_owned());
        }
        while head
            .parse_response(buffer.filled(), &LIMITS)
            .map_err(|error| format!("it answered malformed HTTP: {error}"))?
        {
            let status = head.response(buffer.filled()).status();
            if status >= 200 {
                return Ok(status);
            }
            buffer.consume(head.len());
            head.clear();
        }
    }
}
