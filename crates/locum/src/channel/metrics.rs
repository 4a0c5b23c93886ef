//! What became of the calls of a channel, counted by method.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use crate::metrics::{self, Exposition};
use crate::{CallError, TransportKind};

/// The methods that were called so far.
#[derive(Default)]
pub(super) struct Metrics {
    /// By where their paths lie in memory: finding one is no comparison of texts and takes no lock.
    known: ArcSwap<FxHashMap<(usize, usize), Arc<Method>>>,
    /// All of them.
    all: Mutex<Vec<Arc<Method>>>,
}

/// The calls of one method.
pub(super) struct Method {
    path: Box<str>,
    outcomes: [AtomicU64; OUTCOMES.len()],
    times: metrics::Calls,
}

/// Methods with counters of their own, but for those that a program has by their types.
const NAMES: usize = 1024;
/// All others.
const OTHER: &str = "_other";

const OUTCOMES: [&str; 10] = [
    "ok",
    "app_error",
    "rejected",
    "deadline",
    "cancelled",
    "connect",
    "closed",
    "unavailable",
    "protocol",
    "internal",
];

impl Metrics {
    /// That of a path which lies where it lies for the life of the program.
    pub(super) fn of(&self, path: &'static str) -> Arc<Method> {
        let place = (path.as_ptr() as usize, path.len());
        if let Some(method) = self.known.load().get(&place) {
            return Arc::clone(method);
        }
        let method = self.named(path);
        // Of two who do this at once one may undo what the other did; then that is done again.
        let mut known = FxHashMap::clone(&self.known.load());
        known.insert(place, Arc::clone(&method));
        self.known.store(Arc::new(known));
        method
    }

    /// That of any path. Whoever makes paths up does not make counters without end: those beyond a
    /// number are counted as one.
    pub(super) fn of_any(&self, path: &str) -> Arc<Method> {
        let is_another = {
            let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.len() >= NAMES && !all.iter().any(|method| &*method.path == path)
        };
        self.named(if is_another { OTHER } else { path })
    }

    fn named(&self, path: &str) -> Arc<Method> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(method) = all.iter().find(|method| &*method.path == path) {
            return Arc::clone(method);
        }
        let (path, outcomes) = (path.into(), Default::default());
        let method = Arc::new(Method { path, outcomes, times: metrics::Calls::new() });
        all.push(Arc::clone(&method));
        method
    }

    /// As Prometheus reads it.
    pub(super) fn write(&self, text: &mut Exposition) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let name = "locum_client_calls_total";
        text.family(name, "counter", "Calls that ended, as their callers saw it.");
        for method in &all {
            for (outcome, count) in OUTCOMES.iter().zip(&method.outcomes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    text.sample(name, &[("method", &method.path), ("outcome", outcome)], count);
                }
            }
        }
        let name = "locum_client_call_duration_seconds";
        let help = "How long the last attempt of a call took that was answered.";
        text.durations(name, help, all.iter().map(|method| (&*method.path, &method.times)));
    }
}

impl Method {
    /// A call ended so.
    pub(super) fn ended<R, E>(&self, result: &Result<R, CallError<E>>) {
        let index = result.as_ref().err().map_or(0, index_of);
        self.outcomes[index].fetch_add(1, Ordering::Relaxed);
    }

    /// An answer took so long.
    pub(super) fn took(&self, took: Duration) {
        self.times.time(took);
    }
}

/// Where an error stands among [`OUTCOMES`].
fn index_of<E>(error: &CallError<E>) -> usize {
    match error {
        CallError::App(_) => 1,
        CallError::Rejected(rejection) if rejection.kind == "deadline" => 3,
        CallError::Rejected(_) => 2,
        CallError::Transport(error) => match error.kind {
            TransportKind::Cancelled => 4,
            TransportKind::Connect => 5,
            TransportKind::Closed => 6,
            TransportKind::Unavailable => 7,
            TransportKind::Unsupported => 8,
        },
        CallError::Protocol(_) => 8,
        CallError::Internal(_) => 9,
    }
}
