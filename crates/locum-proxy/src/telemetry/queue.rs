//! Spans that wait to be sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// Spans that wait to be sent, of all workers.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Told when the first span comes, when a batch is full, and at the end.
    stirred: Notify,
    over: watch::Sender<bool>,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    /// The last is added to.
    batches: VecDeque<Batch>,
    closed: bool,
}

/// Spans that are sent together: `ScopeSpans.spans`, one after the other.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: u64,
}

/// How things stand with the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Empty,
    /// Something waits.
    Some,
    /// A batch is full.
    Full,
    /// Nothing more will come.
    Closed,
}

/// A batch with so many bytes takes no more: collectors take requests of up to 4 MiB.
const BATCH: usize = 1 << 20;
/// So many batches may wait.
const WAITING: usize = 8;

impl Queue {
    /// Adds the spans of one call, if there is room for them all.
    pub(super) fn push(&self, spans: &[u8], count: u64) {
        let mut waiting = self.lock();
        let Waiting { batches, closed } = &mut *waiting;
        let fresh = batches.back().is_none_or(|last| last.bytes.len() >= BATCH);
        if *closed || spans.len() > BATCH || (fresh && batches.len() >= WAITING) {
            self.count_dropped(count);
            return;
        }
        if fresh {
            batches.push_back(Batch::default());
        }
        let last = batches.back_mut().expect("invariant: one was just made if there was none");
        last.bytes.extend_from_slice(spans);
        last.spans += count;
        let stirs = fresh || last.bytes.len() >= BATCH;
        drop(waiting);
        if stirs {
            self.stirred.notify_one();
        }
    }

    /// The oldest spans.
    pub(super) fn take(&self) -> Option<Batch> {
        self.lock().batches.pop_front()
    }

    /// Nothing more is taken in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.stirred.notify_one();
        self.over.send_replace(true);
    }

    pub(super) fn standing(&self) -> Standing {
        let waiting = self.lock();
        match waiting.batches.front() {
            _ if waiting.closed => Standing::Closed,
            None => Standing::Empty,
            Some(first) if first.bytes.len() >= BATCH => Standing::Full,
            Some(_) => Standing::Some,
        }
    }

    /// Waits until nothing more is taken in.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn closed(&self) {
        // The sender is `self`, so it outlives the wait.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Waits until it stands as `is` says. One waits at a time.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn until(&self, is: impl Fn(Standing) -> bool) {
        while !is(self.standing()) {
            self.stirred.notified().await;
        }
    }

    pub(super) fn count_sent(&self, spans: u64) {
        self.sent.fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn count_dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Spans that were taken by the collector, and that were not.
    pub(super) fn counts(&self) -> [u64; 2] {
        [&self.sent, &self.dropped].map(|count| count.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_much_and_the_rest_is_dropped_and_counted() {
        let queue = Queue::default();
        assert_eq!(queue.standing(), Standing::Empty);
        let spans = vec![0; BATCH / 4];
        queue.push(&spans, 2);
        assert_eq!(queue.standing(), Standing::Some);
        (0..3).for_each(|_| queue.push(&spans, 2));
        assert_eq!(queue.standing(), Standing::Full);
        (0..4 * WAITING).for_each(|_| queue.push(&spans, 2));
        assert_eq!(queue.counts(), [0, 8], "as many as were there before");
        let batches: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(batches.len(), WAITING);
        assert!(batches.iter().all(|batch| batch.bytes.len() == BATCH && batch.spans == 8));
        queue.push(&vec![0; BATCH + 1], 1);
        assert_eq!(queue.counts(), [0, 9], "one call's are not that many");
        queue.push(&spans, 2);
        queue.close();
        queue.push(&spans, 2);
        assert_eq!((queue.standing(), queue.counts()), (Standing::Closed, [0, 11]));
        assert!(queue.take().is_some_and(|last| last.spans == 2));
    }
}
