//! The plan that runs, and how another takes its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustc_hash::FxHashSet;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::clock;
use crate::plan::{self, Plan};
use crate::roster::Roster;
use crate::shift::Command;

/// What the workers run, shared with whoever changes it.
pub(crate) struct Stage {
    plan: ArcSwap<Plan>,
    workers: Vec<UnboundedSender<Command>>,
    changing: Mutex<()>,
    /// Plans that ran before, and that somebody may still hold.
    retired: Mutex<Vec<Arc<Plan>>>,
    /// Told when the plan has changed or the play is over.
    changed: Notify,
    over: AtomicBool,
}

impl Stage {
    pub(crate) fn new(plan: Arc<Plan>, workers: Vec<UnboundedSender<Command>>) -> Arc<Self> {
        Arc::new(Self {
            plan: ArcSwap::new(plan),
            workers,
            changing: Mutex::default(),
            retired: Mutex::default(),
            changed: Notify::new(),
            over: AtomicBool::new(false),
        })
    }

    /// The plan that runs.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    pub(crate) fn workers(&self) -> &[UnboundedSender<Command>] {
        &self.workers
    }

    /// Nobody else changes the plan meanwhile.
    pub(crate) fn change(&self) -> Change<'_> {
        Change { stage: self, _alone: lock(&self.changing) }
    }

    /// Tells every worker.
    pub(crate) fn command(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            // A worker that has ended needs no command.
            let _ = worker.send(command());
        }
    }

    /// Frees the plans that nobody runs any more. A worker never does: to take apart 10,000 routes would keep its calls
    /// waiting.
    pub(crate) fn bury(&self) {
        // Who does not hold a retired plan cannot come to it.
        let is_free = |plan: &mut Arc<Plan>| Arc::strong_count(plan) == 1;
        let free: Vec<_> = lock(&self.retired).extract_if(.., is_free).collect();
        drop(free);
    }

    /// From now on nothing changes.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits for another plan; false: there will be none. One keeper waits at a time.
    ///
    /// # Cancel safety
    ///
    /// No change is lost.
    pub(crate) async fn changed(&self) -> bool {
        if !self.over.load(Ordering::Relaxed) {
            self.changed.notified().await;
        }
        !self.over.load(Ordering::Relaxed)
    }
}

/// The right to put another plan in the place of the one that runs.
pub(crate) struct Change<'a> {
    stage: &'a Stage,
    _alone: MutexGuard<'a, ()>,
}

impl Change<'_> {
    /// Runs the same plan with what `change` knows of endpoints.
    ///
    /// # Errors
    ///
    /// None that the plan has not met before; it runs on as it is.
    pub(crate) fn know(&self, change: impl FnOnce(&mut Roster)) -> Result<(), plan::Error> {
        let new = self.stage.plan().with(change)?;
        self.take_over(&Arc::new(new));
        Ok(())
    }

    /// Workers run `new` from now on. Calls in flight end under the plan that they began with; of its
    /// endpoints they take none any more that `new` does not use.
    pub(crate) fn take_over(&self, new: &Arc<Plan>) {
        let old = self.stage.plan.swap(Arc::clone(new));
        let used = new.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
        let uids: FxHashSet<u32> = used.clone().map(|endpoint| endpoint.uid).collect();
        for endpoint in old.upstreams.iter().flat_map(|upstream| &upstream.endpoints) {
            if !uids.contains(&endpoint.uid) {
                endpoint.retire();
            }
        }
        let now = clock::now();
        used.for_each(|endpoint| endpoint.enlist(now));
        self.stage.command(|| Command::Plan(Arc::clone(new)));
        lock(&self.stage.retired).push(old);
        self.stage.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Arc<Plan> {
        Arc::new(Plan::of_nothing())
    }

    #[test]
    fn a_plan_is_freed_by_who_buries_it_and_not_before_it_is_let_go() {
        let first = plan();
        let (held, gone) = (Arc::clone(&first), Arc::downgrade(&first));
        let stage = Stage::new(first, Vec::new());
        stage.change().take_over(&plan());
        stage.bury();
        assert!(gone.upgrade().is_some(), "a worker still has it");
        drop(held);
        assert!(gone.upgrade().is_some(), "to let it go frees nothing");
        stage.bury();
        assert!(gone.upgrade().is_none());
    }
}
