//! Streams, from a proxy to a service.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use locum::stream::Stream;
use locum::testing::{self, Memory};
use locum::{CallError, Cx, Server, TransportKind};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[locum::service]
trait Feed {
    async fn count(
        &self,
        to: u64,
        size: u64,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, CallError>>, CallError>;
    async fn watch(&self, cx: &Cx)
    -> Result<impl Stream<Item = Result<u64, CallError>>, CallError>;
    async fn sum(&self, start: i64, numbers: impl Stream<Item = i64>) -> Result<i64, CallError>;
    async fn double(
        &self,
        numbers: impl Stream<Item = i64>,
    ) -> Result<impl Stream<Item = Result<i64, CallError>>, CallError>;
    async fn plain(&self, number: i64) -> Result<i64, CallError>;
}

#[derive(Clone, Default)]
struct Real {
    asked: Arc<AtomicUsize>,
    /// What `watch` gives; closed once nobody watches.
    watched: Arc<Mutex<Option<mpsc::UnboundedSender<u64>>>>,
}

impl Feed for Real {
    async fn count(
        &self,
        to: u64,
        size: u64,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, CallError>>, CallError> {
        if to == 0 {
            return Err(CallError::App("nothing to count".to_owned()));
        }
        let (mut next, asked) = (0, Arc::clone(&self.asked));
        Ok(from_fn(move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            next += 1;
            Poll::Ready((next <= to).then(|| match size {
                0 if next == to => Err(CallError::App("broke".to_owned())),
                _ => Ok(vec![next as u8; size as usize]),
            }))
        }))
    }

    async fn watch(&self, _: &Cx) -> Result<impl Stream<Item = Result<u64, CallError>>, CallError> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        *self.watched.lock().unwrap() = Some(sender);
        Ok(from_fn(move |task| receiver.poll_recv(task).map(|it| it.map(Ok))))
    }

    async fn sum(&self, start: i64, numbers: impl Stream<Item = i64>) -> Result<i64, CallError> {
        let mut numbers = pin!(numbers);
        let mut sum = start;
        while let Some(number) = poll_fn(|task| numbers.as_mut().poll_next(task)).await {
            if number == i64::MAX {
                return Err(CallError::App("too large".to_owned()));
            }
            sum += number;
        }
        Ok(sum)
    }

    async fn double(
        &self,
        numbers: impl Stream<Item = i64> + Send,
    ) -> Result<impl Stream<Item = Result<i64, CallError>>, CallError> {
        let mut numbers = Box::pin(numbers);
        Ok(from_fn(move |task| {
            numbers.as_mut().poll_next(task).map(|it| it.map(|number| Ok(number * 2)))
        }))
    }

    async fn plain(&self, number: i64) -> Result<i64, CallError> {
        Ok(number)
    }
}

/// A stream of what a function gives.
fn from_fn<T, F>(next: F) -> impl Stream<Item = T> + Send + Unpin
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<T>> + Send,
{
    struct FromFn<F>(F);
    impl<F> Unpin for FromFn<F> {}
    impl<T, F: FnMut(&mut Context<'_>) -> Poll<Option<T>>> Stream for FromFn<F> {
        type Item = T;
        fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<T>> {
            (self.0)(task)
        }
    }
    FromFn(next)
}

fn numbers(
    all: impl IntoIterator<Item = i64, IntoIter: Send>,
) -> impl Stream<Item = i64> + Send + Unpin {
    let mut all = all.into_iter();
    from_fn(move |_| Poll::Ready(all.next()))
}

async fn next<S: Stream>(stream: &mut Pin<Box<S>>) -> Option<S::Item> {
    poll_fn(|task| stream.as_mut().poll_next(task)).await
}

async fn all<T, E>(stream: impl Stream<Item = Result<T, E>>) -> Result<Vec<T>, E> {
    let mut stream = Box::pin(stream);
    let mut items = Vec::new();
    while let Some(item) = next(&mut stream).await {
        items.push(item?);
    }
    Ok(items)
}

fn connect(real: &Real, url: &str) -> (FeedProxy, Memory) {
    let memory = testing::serve(Server::new().serve(FeedServer::new(real.clone())));
    let proxy = FeedProxy::connect(url).connector(memory.connector()).build().unwrap();
    (proxy, memory)
}

fn native(real: &Real) -> (FeedProxy, Memory) {
    connect(real, "native://feed:1")
}

/// Lets everybody do what there is to be done.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn streams_go_both_ways() {
    let (feed, _memory) = native(&Real::default());
    let counted = all(feed.count(3, 2).await.unwrap()).await.unwrap();
    assert_eq!(counted, [[1, 1], [2, 2], [3, 3]]);
    assert_eq!(feed.sum(1, numbers(1..=1000)).await, Ok(500_501));
    let doubled = all(feed.double(numbers([1, 2, 3])).await.unwrap()).await.unwrap();
    assert_eq!(doubled, [2, 4, 6]);
    assert_eq!(all(feed.double(numbers([])).await.unwrap()).await, Ok(vec![]));
    assert_eq!(feed.inner().pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn more_than_a_window_goes_through() {
    let (feed, _memory) = native(&Real::default());
    let counted = all(feed.count(30, 30_000).await.unwrap()).await.unwrap();
    assert_eq!(counted.len(), 30);
    // Each larger than the window.
    let counted = all(feed.count(3, 300_000).await.unwrap()).await.unwrap();
    assert_eq!(counted.iter().map(Vec::len).sum::<usize>(), 900_000);
    assert_eq!(feed.sum(0, numbers(0..20_000)).await, Ok(199_990_000));
    let doubled = all(feed.double(numbers(0..20_000)).await.unwrap()).await.unwrap();
    assert!(doubled.iter().zip(0..).all(|(doubled, number)| *doubled == 2 * number));
    assert_eq!(doubled.len(), 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_up_its_own_stream_alone() {
    let real = Real::default();
    let (feed, _memory) = native(&real);
    let mut slow = Box::pin(feed.count(1000, 10_000).await.unwrap());
    assert!(next(&mut slow).await.is_some());
    settle().await;
    let asked = real.asked.load(Ordering::Relaxed);
    assert!((26..60).contains(&asked), "a window and what was read: {asked}");
    assert_eq!(all(feed.count(200, 10_000).await.unwrap()).await.unwrap().len(), 200);
    assert_eq!(feed.plain(7).await, Ok(7));
    let mut left = 0;
    while next(&mut slow).await.is_some() {
        left += 1;
    }
    assert_eq!(left, 999);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_is_and_one_that_breaks_are_told_apart() {
    let (feed, _memory) = native(&Real::default());
    let refused = feed.count(0, 1).await.err();
    assert_eq!(refused, Some(CallError::App("nothing to count".to_owned())));
    let mut broken = Box::pin(feed.count(2, 0).await.unwrap());
    assert_eq!(next(&mut broken).await, Some(Ok(vec![])));
    assert_eq!(next(&mut broken).await, Some(Err(CallError::App("broke".to_owned()))));
    assert_eq!(next(&mut broken).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_dropped_at_both_ends() {
    let real = Real::default();
    let (feed, _memory) = native(&real);
    let background = Cx::new();
    let mut watched = Box::pin(feed.watch(&background).await.unwrap());
    let sender = real.watched.lock().unwrap().take().unwrap();
    sender.send(7).unwrap();
    assert_eq!(next(&mut watched).await, Some(Ok(7)));
    assert_eq!(feed.inner().pending(), 1);
    drop(watched);
    settle().await;
    assert!(sender.is_closed());
    assert_eq!(feed.inner().pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_goes_with_a_call_is_dropped_with_it() {
    let (feed, _memory) = native(&Real::default());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let items = from_fn(move |task| receiver.poll_recv(task));
    {
        let mut call = pin!(feed.sum(0, items));
        sender.send(1).unwrap();
        assert!(timeout(Duration::from_secs(60), &mut call).await.is_err());
        assert!(!sender.is_closed(), "a call with a stream has the time it takes");
    }
    settle().await;
    assert!(sender.is_closed());
    // Also when the service does not want the rest.
    let (sender, mut receiver) = mpsc::unbounded_channel();
    sender.send(i64::MAX).unwrap();
    let items = from_fn(move |task| receiver.poll_recv(task));
    assert_eq!(feed.sum(0, items).await, Err(CallError::App("too large".to_owned())));
    settle().await;
    assert!(sender.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_stream_and_only_that_of_its_caller() {
    let real = Real::default();
    let (feed, _memory) = native(&real);
    let background = Cx::new();
    let mut endless = Box::pin(feed.watch(&background).await.unwrap());
    let day = Duration::from_secs(24 * 3600);
    assert!(timeout(day, next(&mut endless)).await.is_err());
    let sender = real.watched.lock().unwrap().take().unwrap();
    sender.send(7).unwrap();
    assert_eq!(next(&mut endless).await, Some(Ok(7)));

    let cx = Cx::new().with_timeout(Duration::from_secs(60));
    let mut limited = Box::pin(feed.watch(&cx).await.unwrap());
    let Some(Err(CallError::Rejected(rejection))) = next(&mut limited).await else { panic!() };
    assert_eq!(rejection.kind, "deadline");
    assert_eq!(next(&mut limited).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_ends_its_stream() {
    let real = Real::default();
    let (feed, _memory) = native(&real);
    let cx = Cx::new();
    let mut watched = Box::pin(feed.watch(&cx).await.unwrap());
    let sender = real.watched.lock().unwrap().take().unwrap();
    let cancel = async {
        settle().await;
        cx.cancel();
    };
    let (item, ()) = tokio::join!(next(&mut watched), cancel);
    let Some(Err(CallError::Transport(error))) = item else { panic!("{item:?}") };
    assert_eq!(error.kind, TransportKind::Cancelled);
    settle().await;
    assert!(sender.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_dies_ends_its_streams() {
    let (feed, memory) = native(&Real::default());
    let background = Cx::new();
    let mut watched = Box::pin(feed.watch(&background).await.unwrap());
    let mut doubled = Box::pin(feed.double(from_fn(|_| Poll::Pending)).await.unwrap());
    drop(memory);
    for item in
        [next(&mut watched).await.map(|it| it.err()), next(&mut doubled).await.map(|it| it.err())]
    {
        let Some(Some(CallError::Transport(error))) = item else { panic!("{item:?}") };
        assert_eq!(error.kind, TransportKind::Closed);
    }
    assert_eq!(next(&mut watched).await, None);
}

#[tokio::test(start_paused = true)]
async fn protocols_without_streams_say_so() {
    for url in ["gob://feed:1", "json-rpc://feed:1", "json-rpc2://feed:1"] {
        let (feed, _memory) = connect(&Real::default(), url);
        let Some(CallError::Transport(error)) = feed.count(1, 1).await.err() else { panic!() };
        assert_eq!(error.kind, TransportKind::Unsupported);
        assert!(error.detail.contains("native://"), "{}", error.detail);
        assert!(feed.sum(1, numbers([])).await.is_err());
        assert_eq!(feed.plain(7).await, Ok(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_panics_fails_its_call_alone() {
    let (feed, _memory) = native(&Real::default());
    let Err(CallError::Transport(error)) = feed.sum(1, from_fn(|_| panic!("on purpose"))).await
    else {
        panic!()
    };
    assert_eq!(error.kind, TransportKind::Unsupported);
    assert_eq!(error.detail, "the stream that goes with the call broke off");
    assert_eq!(feed.plain(7).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn a_policy_holds_its_permit_for_as_long_as_the_stream() {
    let real = Real::default();
    let memory = testing::serve(Server::new().serve(FeedServer::new(real.clone())));
    let policies = locum::Policies::parse("[policies.one]\nconcurrency = { max = 1 }").unwrap();
    let feed = FeedProxy::connect("native://feed:1")
        .connector(memory.connector())
        .policy(policies.get("one").unwrap().clone())
        .build()
        .unwrap();
    let mut counted = Box::pin(feed.count(1, 1).await.unwrap());
    let Err(CallError::Rejected(rejection)) = feed.plain(1).await else { panic!() };
    assert_eq!(rejection.kind, "concurrency");
    assert!(next(&mut counted).await.is_some());
    assert!(next(&mut counted).await.is_none());
    assert_eq!(feed.plain(1).await, Ok(1));
    // Given up, it gives its permit back as well.
    drop(feed.count(1, 1).await.unwrap());
    assert_eq!(feed.plain(1).await, Ok(1));
    assert_eq!(feed.sum(1, numbers([1])).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn many_streams_share_a_connection() {
    let (feed, _memory) = native(&Real::default());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let feed = feed.clone();
        tasks.spawn(async move {
            let doubled =
                all(feed.double(numbers(number..number + 100)).await.unwrap()).await.unwrap();
            assert!(doubled.iter().zip(number..).all(|(doubled, number)| *doubled == number * 2));
            doubled.len()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 20_000);
    assert_eq!(feed.inner().pending(), 0);
}
