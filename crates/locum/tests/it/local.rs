//! A service in the same program, with a policy around it and without.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use allocation_counter::measure;
use locum::{CallError, Cx, Delivery, Policy, Rejection, Stream, TransportError, TransportKind};
use tokio::time::Instant;

use crate::service::{
    Args, Arith as _, ArithProxy, Real, all, everything_works, iter, streams_work,
};
use crate::setup::policy;

const SECOND: Duration = Duration::from_secs(1);
/// What a policy keeps of a caller's time for the way back.
const MARGIN: Duration = Duration::from_millis(5);

/// A service that fails some times before it does not, or takes its time.
#[locum::service]
trait Work {
    #[method(idempotent)]
    async fn again(&self, cx: &Cx, what: String) -> Result<String, CallError<Broken>>;
    async fn once(&self, what: String) -> Result<u32, CallError<Broken>>;
    async fn wait(&self, cx: &Cx) -> Result<(), CallError>;
    async fn left(&self) -> Result<Option<Duration>, CallError>;
    async fn listen(&self, cx: &Cx)
    -> Result<impl Stream<Item = Result<u8, CallError>>, CallError>;
}

#[derive(Debug, PartialEq, locum::AppError)]
enum Broken {
    #[app_error(other)]
    Other(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Other(text) = self;
        f.write_str(text)
    }
}

#[derive(Clone, Default)]
struct Worker {
    calls: Arc<AtomicU32>,
    failures: u32,
    seen: Arc<Mutex<Option<Cx>>>,
}

impl Worker {
    fn failing(failures: u32) -> Self {
        Self { failures, ..Self::default() }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    fn count(&self) -> Result<u32, CallError<Broken>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call > self.failures {
            return Ok(call);
        }
        let (kind, delivery) = (TransportKind::Closed, Delivery::MaybeProcessed);
        Err(CallError::Transport(TransportError { kind, delivery, detail: "broke".to_owned() }))
    }
}

impl Work for Worker {
    async fn again(&self, _: &Cx, what: String) -> Result<String, CallError<Broken>> {
        self.count().map(|call| format!("{what} {call}"))
    }

    async fn once(&self, _what: String) -> Result<u32, CallError<Broken>> {
        self.count()
    }

    async fn wait(&self, cx: &Cx) -> Result<(), CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        *self.seen.lock().unwrap() = Some(cx.clone());
        pending().await
    }

    async fn left(&self) -> Result<Option<Duration>, CallError> {
        Ok(Cx::current().remaining())
    }

    async fn listen(&self, _: &Cx) -> Result<impl Stream<Item = Result<u8, CallError>>, CallError> {
        Ok(iter([Ok(1), Ok(2)].into_iter()))
    }
}

fn refused<T, E>(result: Result<T, CallError<E>>) -> Rejection {
    match result {
        Err(CallError::Rejected(rejection)) => *rejection,
        _ => panic!("not refused"),
    }
}

#[tokio::test]
async fn a_policy_is_not_seen_while_all_goes_well() {
    let lines =
        "timeout = \"5s\"\nretry = { attempts = 3 }\nbreaker = {}\nconcurrency = { max = 3 }";
    let arith = ArithProxy::wrap(Real, policy(lines));
    everything_works(&arith).await;
    streams_work(&arith).await;
}

#[tokio::test(start_paused = true)]
async fn what_may_be_done_again_is() {
    let worker = Worker::failing(2);
    let work = WorkProxy::wrap(worker.clone(), policy("retry = { attempts = 3 }"));
    assert_eq!(work.again(&Cx::new(), "try".to_owned()).await, Ok("try 3".to_owned()));
    assert_eq!(worker.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_done_again_is_done_once() {
    let worker = Worker::failing(2);
    let work = WorkProxy::wrap(worker.clone(), policy("retry = { attempts = 3 }"));
    let error = work.once(String::new()).await.unwrap_err();
    assert!(matches!(error, CallError::Transport(_)), "{error}");
    assert_eq!(worker.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_service_could_not_ask_of_others_was_begun_all_the_same() {
    #[locum::service]
    trait Shop {
        async fn buy(&self) -> Result<(), CallError>;
    }
    #[derive(Clone)]
    struct Till(Arc<AtomicU32>, TransportKind);
    impl Shop for Till {
        async fn buy(&self) -> Result<(), CallError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let (kind, delivery) = (self.1, Delivery::NotSent);
            Err(CallError::Transport(TransportError { kind, delivery, detail: "x".to_owned() }))
        }
    }
    for kind in [TransportKind::Connect, TransportKind::Closed, TransportKind::Unavailable] {
        let till = Till(Arc::default(), kind);
        let shop = ShopProxy::wrap(till.clone(), policy("retry = { attempts = 3 }"));
        shop.buy().await.unwrap_err();
        assert_eq!(till.0.load(Ordering::Relaxed), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_before_a_service() {
    let lines = "breaker = { window = \"10s\", min_calls = 4, failure_rate = 0.5 }";
    let worker = Worker::failing(u32::MAX);
    let work = WorkProxy::wrap(worker.clone(), policy(lines));
    for _ in 0..4 {
        assert!(matches!(work.once(String::new()).await, Err(CallError::Transport(_))));
    }
    let rejection = refused(work.once(String::new()).await);
    assert_eq!((rejection.kind.as_str(), rejection.policy.as_str()), ("breaker", "p"));
    assert_eq!((rejection.reason.as_str(), rejection.delivery), ("open", Delivery::NotSent));
    assert_eq!(worker.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_policy_gives_a_call_its_time() {
    let worker = Worker::default();
    let work = WorkProxy::wrap(worker.clone(), policy("timeout = \"2s\""));
    assert_eq!(work.left().await, Ok(Some(2 * SECOND - MARGIN)));
    let start = Instant::now();
    let rejection = refused(work.wait(&Cx::new()).await);
    assert_eq!((rejection.kind.as_str(), rejection.policy.as_str()), ("deadline", "p"));
    assert_eq!(rejection.delivery, Delivery::MaybeProcessed);
    assert_eq!(start.elapsed(), 2 * SECOND - MARGIN);
    // Who worked on without its caller was told.
    assert!(worker.seen.lock().unwrap().take().unwrap().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_have_less_time_than_the_policy_gives() {
    let work = WorkProxy::wrap(Worker::default(), policy("timeout = \"9s\""));
    let cx = Cx::new().with_timeout(SECOND);
    assert_eq!(cx.clone().scope(work.left()).await, Ok(Some(SECOND - MARGIN)));
    let start = Instant::now();
    assert_eq!(refused(work.wait(&cx).await).kind, "deadline");
    assert_eq!(start.elapsed(), SECOND - MARGIN);
}

async fn is_cancelled(policy: Option<Policy>) {
    let worker = Worker::default();
    let work = Arc::new(WorkProxy::wrap(worker.clone(), policy));
    let cx = Cx::new();
    let call = tokio::spawn({
        let (work, cx) = (Arc::clone(&work), cx.clone());
        async move { work.wait(&cx).await }
    });
    while worker.calls() == 0 {
        tokio::task::yield_now().await;
    }
    cx.cancel();
    let Err(CallError::Transport(error)) = call.await.unwrap() else { panic!("not cancelled") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Cancelled, Delivery::MaybeProcessed));
}

#[tokio::test]
async fn a_caller_may_give_a_call_up() {
    is_cancelled(None).await;
    is_cancelled(Some(policy("concurrency = { max = 3 }"))).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_there_is_the_deadline_of_the_caller() {
    let worker = Worker::default();
    let work = WorkProxy::wrap(worker.clone(), None);
    assert_eq!(work.left().await, Ok(None));
    let cx = Cx::new().with_timeout(SECOND);
    let rejection = refused(work.wait(&cx).await);
    assert_eq!((rejection.kind.as_str(), rejection.policy.as_str()), ("deadline", ""));
    assert_eq!(rejection.delivery, Delivery::MaybeProcessed);
    assert_eq!(worker.calls(), 1);
    assert_eq!(refused(work.wait(&cx).await).delivery, Delivery::NotSent);
    cx.cancel();
    assert!(matches!(work.wait(&cx).await, Err(CallError::Transport(_))));
    assert_eq!(worker.calls(), 1);
}

#[tokio::test]
async fn a_stream_is_under_way_until_it_ends() {
    let work = WorkProxy::wrap(Worker::default(), policy("concurrency = { max = 1 }"));
    let cx = Cx::new();
    let stream = work.listen(&cx).await.ok().unwrap();
    assert_eq!(refused(work.left().await).kind, "concurrency");
    assert_eq!(all(stream).await, [Ok(1), Ok(2)]);
    assert_eq!(work.left().await, Ok(None));
    let dropped = work.listen(&cx).await.ok().unwrap();
    assert_eq!(refused(work.left().await).kind, "concurrency");
    drop(dropped);
    assert_eq!(work.left().await, Ok(None));
}

#[tokio::test]
async fn a_policy_answers_where_the_service_does_not() {
    let lines = "concurrency = { max = 1 }\nfallback = { body = \"42\" }";
    let work = WorkProxy::wrap(Worker::failing(1), policy(lines));
    assert_eq!(work.once(String::new()).await, Ok(42));
}

#[tokio::test]
async fn a_panic_of_the_service_passes_through() {
    #[locum::service]
    trait Bomb {
        async fn go(&self) -> Result<(), CallError>;
    }
    struct Armed;
    impl Bomb for Armed {
        async fn go(&self) -> Result<(), CallError> {
            panic!("on purpose")
        }
    }
    for policy in [None, Some(policy("concurrency = { max = 1 }"))] {
        let bomb = BombProxy::wrap(Armed, policy);
        for _ in 0..2 {
            let go =
                AssertUnwindSafe(|| pin!(bomb.go()).poll(&mut Context::from_waker(Waker::noop())));
            assert!(std::panic::catch_unwind(go).is_err());
        }
    }
}

#[test]
fn without_a_policy_a_call_allocates_nothing() {
    let arith = ArithProxy::wrap(Real, None);
    let (cx, timed) = (Cx::new(), Cx::new().with_timeout(60 * SECOND));
    let info = measure(|| {
        for cx in [&cx, &timed] {
            let mut call = pin!(arith.multiply(cx, Args { a: 6, b: 7 }));
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        let call = pin!(arith.add_up(1, 2));
        assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    });
    assert_eq!(info.count_total, 0);
}
