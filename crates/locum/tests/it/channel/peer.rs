//! A server that is played by hand.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use locum::channel::Builder;
use locum::service::Method;
use locum::transport::{Io, Stream};
use locum_wire::rpc::{
    self, CallId, Failure, Limits, Protocol, Replies, Request, Requests, Shape, TraceParent,
};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;

/// `Test.Double(i64) -> i64`, which may be called twice.
pub(crate) static DOUBLE: Method = method("Test.Double", true);
/// `Test.Add(i64) -> i64`, which may not.
pub(crate) static ADD: Method = method("Test.Add", false);

const fn method(path: &'static str, idempotent: bool) -> Method {
    Method {
        path,
        idempotent,
        heavy: false,
        args: Shape::of::<i64>(),
        args_type: "i64",
        reply: Shape::of::<i64>(),
        reply_type: "i64",
        takes_stream: false,
        returns_stream: false,
    }
}

/// Where connections of a channel arrive.
pub(crate) struct Door {
    arrivals: mpsc::UnboundedReceiver<(String, DuplexStream)>,
    /// What becomes of the next connections, in order; those beyond are made.
    refusals: Arc<Mutex<VecDeque<io::ErrorKind>>>,
    pub(crate) protocol: Protocol,
}

impl Door {
    /// A builder of channels to `url`, and the door they come to. A connection holds `pipe` bytes each
    /// way.
    pub(crate) fn new(url: &str, protocol: Protocol, pipe: usize) -> (Builder, Self) {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let refusals = Arc::<Mutex<VecDeque<io::ErrorKind>>>::default();
        let asked = Arc::clone(&refusals);
        let builder = Builder::new(url).seed(1).connector(move |endpoint| {
            let refused = asked.lock().unwrap().pop_front();
            let sender = sender.clone();
            let endpoint = endpoint.to_owned();
            async move {
                if let Some(kind) = refused {
                    return Err(kind.into());
                }
                let (near, far) = tokio::io::duplex(pipe);
                let arrived = sender.send((endpoint, far));
                arrived.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                Ok(Io::Memory(near))
            }
        });
        (builder, Self { arrivals, refusals, protocol })
    }

    pub(crate) fn native(url: &str) -> (Builder, Self) {
        Self::new(url, Protocol::Native, 64 << 10)
    }

    /// Refuses the next `count` connections.
    pub(crate) fn refuse(&self, count: usize) {
        let refused = std::iter::repeat_n(io::ErrorKind::ConnectionRefused, count);
        self.refusals.lock().unwrap().extend(refused);
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> Peer {
        let (endpoint, io) = self.arrivals.recv().await.expect("the channel is there");
        Peer::new(endpoint, io, self.protocol)
    }

    /// The next connection, as it is.
    pub(crate) async fn accept_raw(&mut self) -> DuplexStream {
        self.arrivals.recv().await.expect("the channel is there").1
    }

    /// How many connections are still to be refused.
    pub(crate) fn refusals_left(&self) -> usize {
        self.refusals.lock().unwrap().len()
    }

    /// Whether one is waiting to be accepted.
    pub(crate) fn is_called(&self) -> bool {
        !self.arrivals.is_empty()
    }
}

/// One connection, from the server's side.
pub(crate) struct Peer {
    pub(crate) endpoint: String,
    io: Box<dyn Stream>,
    requests: Requests,
    replies: Replies,
    input: Vec<u8>,
    out: Vec<u8>,
    /// How many reads it took so far.
    pub(crate) reads: usize,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Call(Call),
    Cancel(u64),
    Ping(u64),
    Pong(u64),
    /// The connection ended.
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) method: String,
    pub(crate) args: i64,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempt: u32,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) metadata: Vec<(String, String)>,
}

impl Peer {
    /// A native server over `io`.
    pub(crate) fn over(io: impl Stream) -> Self {
        Self::new(String::new(), io, Protocol::Native)
    }

    fn new(endpoint: String, io: impl Stream, protocol: Protocol) -> Self {
        Self {
            endpoint,
            io: Box::new(io),
            requests: Requests::new(protocol, &Limits::default()),
            replies: Replies::new(protocol),
            input: Vec::new(),
            out: Vec::new(),
            reads: 0,
        }
    }

    /// What is asked next.
    pub(crate) async fn next(&mut self) -> Asked {
        loop {
            let mut taken = 0;
            let request = self.requests.next(&self.input, &mut taken).expect("well-formed");
            let asked = request.map(|request| match request {
                Request::Call(rpc::Call {
                    id,
                    method,
                    timeout,
                    attempt,
                    trace,
                    metadata,
                    args,
                    ..
                }) => {
                    let CallId::Number(id) = id else { panic!("no number: {id:?}") };
                    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                    Asked::Call(Call {
                        id,
                        method: method.to_owned(),
                        // Some tests send text.
                        args: args.decode().unwrap_or_default(),
                        timeout,
                        attempt,
                        trace,
                        metadata: metadata.iter().map(text).collect(),
                    })
                }
                Request::Cancel { id, .. } => Asked::Cancel(id),
                Request::Ping(token) => Asked::Ping(token),
                Request::Pong(token) => Asked::Pong(token),
                other => panic!("unexpected: {other:?}"),
            });
            self.input.drain(..taken);
            if let Some(asked) = asked {
                return asked;
            }
            if taken > 0 {
                continue;
            }
            self.reads += 1;
            self.input.reserve(64 << 10);
            if self.io.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return Asked::End;
            }
        }
    }

    /// The next call; nothing else comes before it.
    pub(crate) async fn call(&mut self) -> Call {
        match self.next().await {
            Asked::Call(call) => call,
            other => panic!("no call: {other:?}"),
        }
    }

    pub(crate) async fn reply(&mut self, id: u64, value: &(impl Serialize + ?Sized)) {
        static NUMBER: Shape = Shape::of::<i64>();
        self.reply_shaped(id, &NUMBER, value).await;
    }

    /// Answers a cancel that is a call.
    pub(crate) async fn reply_cancelled(&mut self, id: u64) {
        static BOOL: Shape = Shape::of::<bool>();
        self.reply_shaped(id, &BOOL, &true).await;
    }

    async fn reply_shaped(&mut self, id: u64, shape: &Shape, value: &(impl Serialize + ?Sized)) {
        let id = CallId::Number(id);
        self.replies
            .ok(&mut self.out, &id, "Test.Double", shape, value)
            .expect("it can be written");
        self.send().await;
    }

    /// The call returns a stream.
    pub(crate) async fn open(&mut self, id: u64) {
        self.replies.open(&mut self.out, &CallId::Number(id)).expect("it has a number");
        self.send().await;
    }

    pub(crate) async fn fail(&mut self, id: u64, failure: &Failure<'_>) {
        self.replies.failure(&mut self.out, &CallId::Number(id), "Test.Double", failure);
        self.send().await;
    }

    pub(crate) async fn go_away(&mut self, last: Option<u64>) {
        self.replies.go_away(&mut self.out, last);
        self.send().await;
    }

    pub(crate) async fn ping(&mut self, token: u64) {
        self.replies.ping(&mut self.out, token);
        self.send().await;
    }

    pub(crate) async fn pong(&mut self, token: u64) {
        self.replies.pong(&mut self.out, token);
        self.send().await;
    }

    async fn send(&mut self) {
        // The channel may have gone, which is for the test to see.
        let _ = self.io.write_all(&self.out).await;
        self.out.clear();
    }

    /// Doubles whatever comes, until the connection ends; how many calls came.
    pub(crate) async fn serve(mut self) -> usize {
        let mut calls = 0;
        loop {
            match self.next().await {
                Asked::Call(call) => {
                    calls += 1;
                    self.reply(call.id, &(call.args * 2)).await;
                }
                Asked::End => return calls,
                _ => {}
            }
        }
    }
}
