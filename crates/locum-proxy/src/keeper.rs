//! Beside the workers: endpoints are found and checked, and the keys of issuers fetched.
//!
//! One thread does it for the process, so that nobody is asked twice however many workers there are, and
//! no call waits for that.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::task::{AbortHandle, LocalSet, spawn_local};

use crate::buffer::Buffers;
use crate::clock::{Alarms, Source};
use crate::outgoing::Means;
use crate::plan::Plan;
use crate::random::{self, Random};
use crate::stage::Stage;
use crate::upstream::{Protocol, discover, health};
use lookup::LookUp;

pub(crate) use lookup::first as find_first;

mod check;
mod lookup;

/// What everything that is kept shares.
struct Keeper {
    buffers: Rc<Buffers>,
    alarms: Rc<Alarms>,
    random: Cell<Random>,
}

/// Starts the thread. It ends with `stage`.
///
/// # Errors
///
/// The system refuses a thread or its descriptors.
pub(crate) fn start(stage: Arc<Stage>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("locum-keeper".to_owned())
        .spawn(move || LocalSet::new().block_on(&runtime, keep(stage)))?;
    Ok(())
}

async fn keep(stage: Arc<Stage>) {
    let keeper = Rc::new(Keeper {
        buffers: Buffers::new(),
        alarms: Alarms::new(Source::System),
        random: Cell::new(Random::new(random::seed())),
    });
    let alarms = Rc::clone(&keeper.alarms);
    spawn_local(async move { alarms.drive().await });
    let tending = spawn_local(tend(Arc::clone(&stage), Rc::clone(&keeper)));
    let (mut checks, mut look_ups) = (Checks::default(), LookUps::default());
    loop {
        let plan = stage.plan();
        checks.follow(&plan, &keeper);
        look_ups.follow(&plan, &keeper, &stage);
        drop(plan);
        if !stage.changed().await {
            tending.abort();
            return;
        }
    }
}

/// Has the keys of issuers fetched when they are due, and plans freed that have had their time.
async fn tend(stage: Arc<Stage>, keeper: Rc<Keeper>) {
    let means = Means { buffers: Rc::clone(&keeper.buffers), alarms: Rc::clone(&keeper.alarms) };
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        stage.plan().auth.iter().for_each(|check| check.tend(&means, keeper.random()));
        stage.bury();
    }
}

impl Keeper {
    fn random(&self) -> u64 {
        let mut random = self.random.take();
        let number = random.next();
        self.random.set(random);
        number
    }
}

/// The checks that go on, by the endpoint's number, each with what it was begun with.
#[derive(Default)]
struct Checks(FxHashMap<u32, (health::Settings, AbortHandle)>);

impl Checks {
    /// Begins and ends checks as `plan` wants them; those of which it says nothing new go on.
    fn follow(&mut self, plan: &Plan, keeper: &Rc<Keeper>) {
        let mut wanted = FxHashSet::default();
        for upstream in &plan.upstreams {
            let Some(settings) = &upstream.settings.health else { continue };
            for endpoint in upstream.listed.iter().map(|listed| &listed.endpoint) {
                wanted.insert(endpoint.uid);
                if self.0.get(&endpoint.uid).is_some_and(|(begun, _)| begun == settings) {
                    continue;
                }
                let check = check::Check {
                    upstream: upstream.settings.name.as_str().into(),
                    endpoint: Arc::clone(endpoint),
                    settings: settings.clone(),
                    http2: matches!(upstream.settings.protocol, Protocol::Http2 | Protocol::Grpc),
                };
                let checking = check.go_on(Rc::clone(keeper));
                let alarms = Rc::clone(&keeper.alarms);
                let task = spawn_local(alarms.turns(checking)).abort_handle();
                if let Some((_, old)) = self.0.insert(endpoint.uid, (settings.clone(), task)) {
                    old.abort();
                }
            }
        }
        self.0.retain(|uid, (_, task)| {
            let stays = wanted.contains(uid);
            if !stays {
                task.abort();
            }
            stays
        });
        for upstream in plan.upstreams.iter().filter(|upstream| upstream.settings.health.is_none())
        {
            upstream.listed.iter().for_each(|listed| listed.endpoint.forget_health());
        }
    }
}

/// The look-ups that go on, by the upstream's name, each with what it was begun with.
#[derive(Default)]
struct LookUps(FxHashMap<String, (discover::Settings, AbortHandle)>);

impl LookUps {
    /// Begins and ends look-ups as `plan` wants them; those of which it says nothing new go on.
    fn follow(&mut self, plan: &Plan, keeper: &Rc<Keeper>, stage: &Arc<Stage>) {
        let wanted = |name: &str| plan.upstream(name)?.settings.discover.as_ref();
        self.0.retain(|name, (begun, task)| {
            let stays = wanted(name) == Some(begun);
            if !stays {
                task.abort();
            }
            stays
        });
        for upstream in &plan.upstreams {
            let Some(settings) = &upstream.settings.discover else { continue };
            let name = &upstream.settings.name;
            if self.0.contains_key(name) {
                continue;
            }
            let look_up = LookUp {
                upstream: name.clone(),
                settings: settings.clone(),
                discovery: upstream.discovery.clone(),
                stage: Arc::clone(stage),
            };
            let task = spawn_local(look_up.go_on(Rc::clone(keeper))).abort_handle();
            self.0.insert(name.clone(), (settings.clone(), task));
        }
    }
}
