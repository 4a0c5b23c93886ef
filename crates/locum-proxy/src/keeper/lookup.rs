//! Looks up the endpoints of upstreams that list none.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::Keeper;
use crate::clock::now;
use crate::plan;
use crate::roster::Roster;
use crate::stage::Stage;
use crate::upstream::discover::{Discovery, Settings};

/// A start and a reload wait this long for what they are to find first.
const FIRST: Duration = Duration::from_secs(3);

/// The look-ups of one upstream.
pub(super) struct LookUp {
    pub(super) upstream: String,
    pub(super) settings: Settings,
    pub(super) discovery: Discovery,
    pub(super) stage: Arc<Stage>,
}

impl LookUp {
    /// Looks up, until aborted. What was found last stays until something else is found.
    pub(super) async fn go_on(self, keeper: Rc<Keeper>) {
        loop {
            let found = self.settings.look_up().await;
            let was_failing = self.discovery.status().failing.is_some();
            let pause = self.discovery.learn(&found, &self.settings, now());
            let upstream = &*self.upstream;
            match found {
                Ok((endpoints, _)) => {
                    if was_failing {
                        tracing::info!(upstream, "its endpoints are found again");
                    }
                    let differ = |roster: &Roster| roster.found(upstream) != Some(&endpoints);
                    if self.stage.plan().knows(differ) {
                        self.know(endpoints.clone());
                    }
                }
                Err(why) if !was_failing => {
                    tracing::warn!(upstream, why, "its endpoints are not found; those known stay");
                }
                Err(_) => {}
            }
            // A tenth either way: not all ask at once.
            let share = keeper.random() as f64 / u64::MAX as f64;
            sleep(pause.mul_f64(0.9 + 0.2 * share)).await;
        }
    }

    fn know(&self, endpoints: Vec<crate::upstream::EndpointSettings>) {
        let (upstream, count) = (&*self.upstream, endpoints.len());
        let change = |roster: &mut Roster| roster.find(upstream, endpoints);
        match self.stage.change().know(change) {
            Ok(()) => tracing::info!(upstream, count, "its endpoints have changed"),
            Err(error) => {
                tracing::error!(upstream, %error, "endpoints that were found are of no use")
            }
        }
    }
}

/// Looks up what `settings` want to have found and `roster` does not know, all at once, for a little while.
/// What is not found then is found later.
pub(crate) fn first(settings: &plan::Settings, roster: &mut Roster) {
    let upstreams = settings.upstreams.iter();
    let wanted: Vec<_> = upstreams
        .filter_map(|upstream| Some((&*upstream.name, upstream.discover.as_ref()?)))
        .filter(|(name, _)| roster.found(name).is_none())
        .collect();
    if wanted.is_empty() {
        return;
    }
    // A thread and a runtime of its own: whoever waits here may be one of another's tasks.
    let look_up = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let all = wanted.iter().map(|(_, settings)| timeout(FIRST, settings.look_up()));
        Some(runtime.block_on(async { join_all(all).await }))
    };
    let found = std::thread::scope(|scope| scope.spawn(look_up).join().ok().flatten());
    for ((name, _), found) in wanted.iter().zip(found.into_iter().flatten()) {
        if let Ok(Ok((endpoints, _))) = found {
            roster.find(name, endpoints);
        }
    }
}
