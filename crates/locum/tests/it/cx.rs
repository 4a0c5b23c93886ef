//! Contexts of calls.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use allocation_counter::measure;
use locum::{Cx, TraceParent};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_child_has_the_smaller_deadline() {
    let now = Instant::now();
    let cx = Cx::new();
    assert_eq!((cx.deadline(), cx.remaining()), (None, None));
    let parent = cx.with_timeout(2 * SECOND);
    assert_eq!(parent.with_timeout(SECOND).deadline(), Some(now + SECOND));
    assert_eq!(parent.with_timeout(3 * SECOND).deadline(), Some(now + 2 * SECOND));
    assert_eq!(parent.child().deadline(), Some(now + 2 * SECOND));
    assert_eq!(cx.with_timeout(Duration::MAX).deadline(), None);

    tokio::time::advance(SECOND).await;
    assert_eq!(parent.remaining(), Some(SECOND));
    assert!(!parent.is_cancelled());
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(parent.remaining(), Some(Duration::ZERO));
    assert!(parent.is_cancelled());
}

#[test]
fn a_cancellation_reaches_all_that_is_derived_and_nothing_else() {
    let root = Cx::new();
    let clone = root.clone();
    let child = root.child();
    let (grandchild, sibling) = (child.with_metadata("a", "b"), root.child());
    child.cancel();
    assert!(child.is_cancelled() && grandchild.is_cancelled());
    assert!(!root.is_cancelled() && !sibling.is_cancelled() && !clone.is_cancelled());
    clone.cancel();
    assert!(root.is_cancelled() && sibling.is_cancelled());
    assert!(root.child().is_cancelled());
}

#[test]
fn nobody_cancels_the_background() {
    let background = Cx::background();
    let child = background.child();
    let clone = background.clone();
    background.cancel();
    assert!(!background.is_cancelled() && !child.is_cancelled() && !clone.is_cancelled());
    child.cancel();
    assert!(child.is_cancelled() && !background.is_cancelled());
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_waits_is_woken_by_any_ancestor() {
    let (root, woken) = (Cx::new(), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut task = Context::from_waker(&waker);
    let youngest = root.child().child().child();
    {
        let mut waits = pin!(youngest.cancelled());
        let mut given_up = pin!(youngest.cancelled());
        assert!(waits.as_mut().poll(&mut task).is_pending());
        assert!(waits.as_mut().poll(&mut task).is_pending());
        assert!(given_up.as_mut().poll(&mut task).is_pending());
        root.cancel();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(waits.as_mut().poll(&mut task).is_ready());
    }
    root.cancel();
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
}

#[test]
fn who_waits_no_more_is_not_woken() {
    let (cx, woken) = (Cx::new(), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    {
        let mut waits = pin!(cx.cancelled());
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    cx.cancel();
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    // The waker went with the future.
    drop(waker);
    assert_eq!(Arc::strong_count(&woken), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_cancels() {
    let start = Instant::now();
    Cx::new().with_timeout(SECOND).cancelled().await;
    assert_eq!(start.elapsed(), SECOND);
}

#[test]
fn metadata_travel_with_children() {
    let cx = Cx::new();
    assert!(cx.metadata().is_empty());
    let cx = cx.with_metadata("tenant", "blue").with_metadata("empty", "");
    let child = cx.child();
    assert_eq!(child.metadata().get("tenant"), Some("blue"));
    let all: Vec<_> = child.metadata().iter().collect();
    assert_eq!(all, [("tenant", "blue"), ("empty", "")]);
    let shown = format!("{child:?}");
    assert!(shown.contains("tenant") && !shown.contains("blue"), "{shown}");
}

#[test]
fn a_span_stays_in_its_trace() {
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace: TraceParent = text.parse().unwrap();
    let cx = Cx::new().with_trace(trace);
    assert_eq!(cx.child().trace(), Some(trace));
    let spans = [cx.with_span(), cx.with_span()].map(|cx| cx.trace().unwrap());
    for span in spans {
        assert_eq!((span.trace_id, span.flags), (trace.trace_id, 1));
        assert_ne!(span.parent_id, trace.parent_id);
    }
    assert_ne!(spans[0], spans[1]);
    let begun = Cx::new().with_span().trace().unwrap();
    assert!(begun.to_string().parse::<TraceParent>().is_ok());
    assert_ne!(begun.trace_id, Cx::new().with_span().trace().unwrap().trace_id);
}

#[test]
fn a_scope_is_there_while_its_future_is_polled() {
    let named = |name| Cx::new().with_metadata("name", name);
    let current = || Cx::current().metadata().get("name").map(str::to_owned);
    let both = |first: Option<&str>, then: Option<&str>| {
        (first.map(str::to_owned), then.map(str::to_owned))
    };
    let look = async move {
        let first = current();
        let mut again = false;
        poll_fn(
            |_| if std::mem::replace(&mut again, true) { Poll::Ready(()) } else { Poll::Pending },
        )
        .await;
        (first, current())
    };
    let mut outer = pin!(named("outer").scope(async move {
        let inner = named("inner").scope(look).await;
        (inner, current())
    }));
    let mut task = Context::from_waker(Waker::noop());
    assert!(outer.as_mut().poll(&mut task).is_pending());
    assert_eq!(current(), None);
    let Poll::Ready((inner, after)) = outer.as_mut().poll(&mut task) else { panic!("pending") };
    assert_eq!(inner, both(Some("inner"), Some("inner")));
    assert_eq!((after.as_deref(), current()), (Some("outer"), None));
}

#[test]
fn a_panic_leaves_no_scope_behind() {
    let failed = std::panic::catch_unwind(|| {
        let scope = Cx::new().with_metadata("a", "b").scope(async { panic!("on purpose") });
        let _: Poll<()> = pin!(scope).poll(&mut Context::from_waker(Waker::noop()));
    });
    assert!(failed.is_err());
    assert!(Cx::current().metadata().is_empty());
}

#[test]
fn a_context_allocates_once_at_most() {
    let allocations = |act: &dyn Fn()| measure(act).count_total;
    assert_eq!(allocations(&|| drop(Cx::new())), 0);
    let background = Cx::background();
    assert_eq!(allocations(&|| drop((background.clone(), Cx::current()))), 0);
    let cx = Cx::new().child();
    assert_eq!(allocations(&|| drop(cx.clone())), 0);
    assert_eq!(allocations(&|| drop(cx.with_timeout(SECOND))), 1);
}

#[test]
fn a_long_line_of_contexts_is_let_go() {
    let mut cx = Cx::new();
    for _ in 0..100_000 {
        cx = cx.child();
    }
    let oldest = cx.clone();
    drop(cx);
    let waits: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { oldest.cancelled().await });
    drop(waits);
    drop(oldest);
}
