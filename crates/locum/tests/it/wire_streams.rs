//! A server's streams, against a client that is written by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use locum::stream::Stream;
use locum::transport::{Io, memory};
use locum::{CallError, Server};
use locum_wire::native::{Answers, Calls, Replies, WINDOW};
use locum_wire::rpc::{Answer, CallHead, Class, Limits, Metadata};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

#[locum::service]
trait Feed {
    async fn count(
        &self,
        to: u64,
        size: u64,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, CallError>>, CallError>;
    async fn sum(&self, start: i64, numbers: impl Stream<Item = i64>) -> Result<i64, CallError>;
    async fn idle(&self, numbers: impl Stream<Item = i64>) -> Result<(), CallError>;
}

#[derive(Clone, Default)]
struct Counter {
    /// How many items were asked for.
    asked: Arc<AtomicUsize>,
    /// Whose handler was dropped before its end.
    dropped: Arc<Mutex<Vec<&'static str>>>,
}

struct Tell(Counter, &'static str);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.dropped.lock().unwrap().push(self.1);
    }
}

impl Feed for Counter {
    async fn count(
        &self,
        to: u64,
        size: u64,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, CallError>>, CallError> {
        if size > 1 << 30 {
            return Err(CallError::App("too large".to_owned()));
        }
        let mut next = 0;
        let asked = Arc::clone(&self.asked);
        Ok(from_fn(move || {
            asked.fetch_add(1, Ordering::Relaxed);
            next += 1;
            if next > to {
                return None;
            }
            let broken = size == 0 && next == to;
            Some(if broken {
                Err(CallError::App("broke".to_owned()))
            } else {
                Ok(vec![0; size as usize])
            })
        }))
    }

    async fn sum(&self, start: i64, numbers: impl Stream<Item = i64>) -> Result<i64, CallError> {
        let _tell = Tell(self.clone(), "sum");
        let mut numbers = std::pin::pin!(numbers);
        let mut sum = start;
        while let Some(number) = std::future::poll_fn(|task| numbers.as_mut().poll_next(task)).await
        {
            sum += number;
        }
        Ok(sum)
    }

    async fn idle(&self, _numbers: impl Stream<Item = i64>) -> Result<(), CallError> {
        let _tell = Tell(self.clone(), "idle");
        std::future::pending().await
    }
}

fn from_fn<T, F: FnMut() -> Option<T> + Send>(next: F) -> impl Stream<Item = T> + Send {
    struct FromFn<F>(F);
    impl<F> Unpin for FromFn<F> {}
    impl<T, F: FnMut() -> Option<T>> Stream for FromFn<F> {
        type Item = T;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<T>> {
            Poll::Ready((self.0)())
        }
    }
    FromFn(next)
}

/// A client that says what it likes.
struct Client {
    io: Io,
    calls: Calls,
    answers: Answers,
    read: Vec<u8>,
}

impl Client {
    async fn of(service: Counter) -> Self {
        let (dialer, listener) = memory();
        tokio::spawn(Server::new().serve(FeedServer::new(service)).listen_on(listener).run());
        let io = dialer.dial().await.unwrap();
        let answers = Answers::new(&Limits::default());
        Self { io, calls: Calls::new(), answers, read: Vec::new() }
    }

    async fn send(&mut self, write: impl FnOnce(&mut Calls, &mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut self.calls, &mut out);
        self.io.write_all(&out).await.unwrap();
    }

    /// The next answer, in words.
    async fn next(&mut self) -> String {
        loop {
            let mut taken = 0;
            let text =
                self.answers.next(&self.read, &mut taken).unwrap().map(|answer| match answer {
                    Answer::Reply { id, .. } => format!("{id} reply"),
                    Answer::Failure { id, failure } => {
                        format!("{id} {:?}: {}", failure.class, failure.text)
                    }
                    Answer::Open { id } => format!("{id} open"),
                    Answer::Item { id, item } => format!("{id} item {}", item.bytes.len()),
                    Answer::Credit { id, bytes } => format!("{id} credit {bytes}"),
                    other => format!("{other:?}"),
                });
            self.read.drain(..taken);
            if let Some(text) = text {
                return text;
            }
            assert_ne!(self.io.read_buf(&mut self.read).await.unwrap(), 0, "the server closed");
        }
    }

    /// Whether nothing comes.
    async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_secs(5), self.next()).await.is_err()
    }
}

fn head(id: u64, method: &'static str, streams: bool) -> CallHead<'static> {
    let metadata = Metadata::default();
    CallHead { id, method, timeout: None, attempt: 1, trace: None, metadata, streams }
}

#[tokio::test(start_paused = true)]
async fn a_stream_opens_and_ends() {
    let mut client = Client::of(Counter::default()).await;
    client
        .send(|calls, out| calls.call(out, &head(0, "Feed.Count", false), &(2u64, 3u64)).unwrap())
        .await;
    for expected in ["0 open", "0 item 4", "0 item 4", "0 reply"] {
        assert_eq!(client.next().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_is_and_one_that_breaks_are_told_apart() {
    let mut client = Client::of(Counter::default()).await;
    client
        .send(|calls, out| {
            calls.call(out, &head(0, "Feed.Count", false), &(2u64, u64::MAX)).unwrap();
        })
        .await;
    assert_eq!(client.next().await, "0 App: too large");
    client
        .send(|calls, out| calls.call(out, &head(1, "Feed.Count", false), &(2u64, 0u64)).unwrap())
        .await;
    for expected in ["1 open", "1 item 1", "1 App: broke"] {
        assert_eq!(client.next().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_sent_or_asked_for_than_there_is_credit() {
    let counter = Counter::default();
    let mut client = Client::of(counter.clone()).await;
    client
        .send(|calls, out| {
            calls.call(out, &head(0, "Feed.Count", false), &(1000u64, 4094u64)).unwrap()
        })
        .await;
    assert_eq!(client.next().await, "0 open");
    // Of 4096 bytes each, and 32.
    let fit = WINDOW.div_ceil(4096 + 32) as usize;
    for _ in 0..fit {
        assert_eq!(client.next().await, "0 item 4096");
    }
    assert!(client.is_silent().await);
    assert_eq!(counter.asked.load(Ordering::Relaxed), fit);
    // Other calls go on meanwhile.
    client
        .send(|calls, out| {
            calls.call(out, &head(1, "Feed.Sum", true), &7i64).unwrap();
            calls.end(out, 1);
        })
        .await;
    assert_eq!(client.next().await, "1 reply");
    client.send(|calls, out| calls.credit(out, 0, WINDOW)).await;
    assert_eq!(client.next().await, "0 item 4096");
    client.send(|calls, out| calls.credit(out, 0, u32::MAX)).await;
    for _ in 0..1000 - fit - 1 {
        assert_eq!(client.next().await, "0 item 4096");
    }
    assert_eq!(client.next().await, "0 reply");
}

#[tokio::test(start_paused = true)]
async fn items_of_a_client_are_read_and_credit_comes_back() {
    let mut client = Client::of(Counter::default()).await;
    client.send(|calls, out| calls.call(out, &head(3, "Feed.Sum", true), &1i64).unwrap()).await;
    // Of one byte each, and 32.
    let half = (WINDOW / 2).div_ceil(33);
    for _ in 0..half {
        client.send(|calls, out| assert_eq!(calls.item(out, 3, &1i64).unwrap(), 1)).await;
    }
    assert_eq!(client.next().await, format!("3 credit {}", half * 33));
    client.send(|calls, out| calls.end(out, 3)).await;
    assert_eq!(client.next().await, "3 reply");
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_beyond_its_credit_is_stopped() {
    let counter = Counter::default();
    let mut client = Client::of(counter.clone()).await;
    client
        .send(|calls, out| {
            calls.call(out, &head(0, "Feed.Idle", true), &()).unwrap();
            for _ in 0..WINDOW.div_ceil(33) {
                calls.item(out, 0, &1i64).unwrap();
            }
        })
        .await;
    assert!(client.is_silent().await);
    client
        .send(|calls, out| {
            calls.item(out, 0, &1i64).unwrap();
        })
        .await;
    assert_eq!(client.next().await, "0 BadArguments: more items than there was credit for");
    assert!(client.is_silent().await);
    assert_eq!(*counter.dropped.lock().unwrap(), ["idle"]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_none_fails_its_call() {
    let counter = Counter::default();
    let mut client = Client::of(counter.clone()).await;
    client
        .send(|calls, out| {
            calls.call(out, &head(0, "Feed.Sum", true), &1i64).unwrap();
            calls.item(out, 0, &"text").unwrap();
        })
        .await;
    assert_eq!(
        client.next().await,
        "0 BadArguments: an item of its stream: postcard: 4 bytes too many"
    );
    assert!(client.is_silent().await);
    assert_eq!(*counter.dropped.lock().unwrap(), ["sum"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_stops_its_streams() {
    let counter = Counter::default();
    let mut client = Client::of(counter.clone()).await;
    client.send(|calls, out| calls.call(out, &head(0, "Feed.Idle", true), &()).unwrap()).await;
    assert!(client.is_silent().await);
    client
        .send(|calls, out| {
            calls.cancel(out, 0);
            // What comes late is nobody's.
            calls.item(out, 0, &1i64).unwrap();
            calls.end(out, 0);
            calls.credit(out, 0, 1);
        })
        .await;
    assert_eq!(client.next().await, "0 Cancelled: context canceled");
    assert!(client.is_silent().await);
    assert_eq!(*counter.dropped.lock().unwrap(), ["idle"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_sends_no_stream_has_an_empty_one() {
    let mut client = Client::of(Counter::default()).await;
    client.send(|calls, out| calls.call(out, &head(0, "Feed.Sum", false), &1i64).unwrap()).await;
    assert_eq!(client.next().await, "0 reply");
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_as_long_as_its_caller_lets_it() {
    let mut client = Client::of(Counter::default()).await;
    client.send(|calls, out| calls.call(out, &head(0, "Feed.Idle", true), &()).unwrap()).await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(client.is_silent().await);
    let limited = CallHead { timeout: Some(Duration::from_secs(1)), ..head(1, "Feed.Idle", true) };
    client.send(|calls, out| calls.call(out, &limited, &()).unwrap()).await;
    assert!(client.next().await.starts_with(&format!("1 {:?}", Class::Deadline)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_says_no_more_lasts_no_longer_than_other_calls() {
    let counter = Counter::default();
    let mut client = Client::of(counter.clone()).await;
    client.send(|calls, out| calls.call(out, &head(0, "Feed.Idle", true), &()).unwrap()).await;
    // Both sides say it with the same frame; before the first of a stream is the hello.
    let (mut replies, mut hello, mut go_away) = (Replies::new(), Vec::new(), Vec::new());
    replies.pong(&mut hello, 0);
    replies.go_away(&mut go_away, None);
    client.send(|_, out| out.append(&mut go_away)).await;
    client.io.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert!(counter.dropped.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(*counter.dropped.lock().unwrap(), ["idle"]);
}
