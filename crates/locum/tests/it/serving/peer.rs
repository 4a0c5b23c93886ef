//! A client that is played by hand.

use std::collections::VecDeque;
use std::time::Duration;

use locum::transport::Io;
use locum_wire::rpc::{Answer, Answers, CallHead, Calls, Class, Limits, Metadata, Protocol, Shape};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::Args;

/// One end of a connection; what it is given to say, the server reads.
pub(crate) struct Peer {
    pub(crate) io: Io,
    input: Vec<u8>,
}

/// A client's halves over a [`Peer`].
pub(crate) struct Client {
    pub(crate) peer: Peer,
    calls: Calls,
    answers: Answers,
    ids: u64,
    /// What was written and not sent.
    out: Vec<u8>,
    heard: VecDeque<Heard>,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// What a call returned, as it was shown by what read it.
    Reply(u64, String),
    Failure(u64, Class, String),
    GoAway(Option<u64>),
    Pong(u64),
    End,
}

impl Peer {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, input: Vec::new() }
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Says that there is nothing more to say.
    pub(crate) async fn shutdown(&mut self) {
        self.io.shutdown().await.unwrap();
    }

    /// All that the server says until it closes.
    pub(crate) async fn hear_all(&mut self) -> String {
        let mut all = std::mem::take(&mut self.input);
        // A reset is an end too.
        let _ = self.io.read_to_end(&mut all).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    pub(crate) fn client(self, protocol: Protocol) -> Client {
        Client {
            peer: self,
            calls: Calls::new(protocol),
            answers: Answers::new(protocol, &Limits::default()),
            ids: 0,
            out: Vec::new(),
            heard: VecDeque::new(),
        }
    }
}

impl Client {
    /// Writes a call, and gives its number.
    pub(crate) fn write<T: Serialize + DeserializeOwned>(&mut self, method: &str, args: &T) -> u64 {
        self.write_with(method, args, None, &[])
    }

    pub(crate) fn write_with<T: Serialize + DeserializeOwned>(
        &mut self,
        method: &str,
        args: &T,
        timeout: Option<Duration>,
        metadata: &[(&str, &str)],
    ) -> u64 {
        let id = self.ids;
        self.ids += 1;
        let mut bytes = Vec::new();
        Metadata::encode(metadata, &mut bytes);
        let head = CallHead {
            id,
            method,
            timeout,
            attempt: 1,
            trace: None,
            metadata: Metadata::parse(&bytes).unwrap(),
            streams: false,
        };
        self.calls.call(&mut self.out, &head, &Shape::of::<T>(), args).unwrap();
        id
    }

    pub(crate) fn multiply(&mut self, a: i64, b: i64) -> u64 {
        self.write("Work.Multiply", &Args { a, b })
    }

    pub(crate) fn wait(&mut self, millis: u64) -> u64 {
        self.write("Work.Wait", &millis)
    }

    pub(crate) fn cancel(&mut self, id: u64) {
        let own = self.ids;
        self.ids += 1;
        self.calls.cancel(&mut self.out, id, own);
    }

    pub(crate) fn ping(&mut self, token: u64) {
        assert!(self.calls.ping(&mut self.out, token));
    }

    pub(crate) fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub(crate) async fn send(&mut self) {
        let out = self.take_written();
        self.peer.say(&out).await;
    }

    /// Makes one call.
    pub(crate) async fn call<T, R>(&mut self, method: &str, args: &T) -> Heard
    where
        T: Serialize + DeserializeOwned,
        R: DeserializeOwned + std::fmt::Debug,
    {
        self.write(method, args);
        self.send().await;
        self.hear::<R>().await
    }

    /// The next that the server says; replies are read as an `R`.
    pub(crate) async fn hear<R: DeserializeOwned + std::fmt::Debug>(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let mut taken = 0;
            loop {
                let rest = &self.peer.input[taken..];
                let Some(answer) = self.answers.next(rest, &mut taken).unwrap() else { break };
                self.heard.extend(match answer {
                    Answer::Reply { id, body } => {
                        Some(Heard::Reply(id, format!("{:?}", body.decode::<R>().unwrap())))
                    }
                    Answer::Failure { id, failure } => {
                        Some(Heard::Failure(id, failure.class, failure.text.into_owned()))
                    }
                    Answer::GoAway { last } => Some(Heard::GoAway(last)),
                    Answer::Pong(token) => Some(Heard::Pong(token)),
                    other => panic!("{other:?}"),
                });
            }
            self.peer.input.drain(..taken);
            if self.heard.is_empty()
                && self.peer.io.read_buf(&mut self.peer.input).await.unwrap_or(0) == 0
            {
                return Heard::End;
            }
        }
    }

    /// So many of them, in the order of the calls.
    pub(crate) async fn hear_sorted<R: DeserializeOwned + std::fmt::Debug>(
        &mut self,
        count: usize,
    ) -> Vec<Heard> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.hear::<R>().await);
        }
        all.sort_by_key(|heard| match heard {
            Heard::Reply(id, _) | Heard::Failure(id, ..) => *id,
            _ => u64::MAX,
        });
        all
    }
}

pub(crate) fn reply(id: u64, value: impl std::fmt::Debug) -> Heard {
    Heard::Reply(id, format!("{value:?}"))
}

pub(crate) fn failure(id: u64, class: Class, text: &str) -> Heard {
    Heard::Failure(id, class, text.to_owned())
}
