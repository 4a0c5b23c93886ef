//! A scenario, played.

use std::cell::{Cell, Ref, RefCell};
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use locum_policy::balance::{Ask, Balance, Balancer, Ejection, Endpoints, Seen, Standing};
use locum_policy::gates::breaker::{Per, Watch};
use locum_policy::seed::{mix, of_call, of_pick};
use locum_policy::{
    Attempt, Bound, Call, Cause, Clock as _, End, Ended, Endpoint, Exchange, Key, Keys, Policy,
    Time, run,
};

use crate::agenda::Agenda;
use crate::engine::{Error, Run, advance, close, summarise};
use crate::fleet::Fleet;
use crate::recorder::Recorder;
use crate::scenario::{Scenario, Servers};
use crate::service::unit;
use crate::summary::Summary;
use crate::tasks::Tasks;
use crate::traffic::Traffic;

/// Plays a scenario that [`check`](Scenario::check) finds nothing wrong with. The policy is that of
/// `run`; the scenario only names it.
///
/// # Errors
///
/// The policy is out of range, or the log could not be written.
///
/// # Panics
///
/// The scenario is out of range.
pub fn play(run: &mut Run<'_>, scenario: &Scenario) -> Result<Summary, Error> {
    let policy = run.bind()?;
    let agenda = Agenda::default();
    let recorder = Recorder::new(run.log.take());
    let end = Time::ZERO + scenario.duration.0;
    let fleet = RefCell::new(Fleet::new(&scenario.servers, &agenda));
    let (names, balancer) = roster(scenario);
    let seed = run.seed;
    let calls = Cell::new(0);
    let stage = Stage {
        agenda: &agenda,
        policy: &policy,
        recorder: &recorder,
        fleet: &fleet,
        watches: policy.policy().map_or_else(Vec::new, |policy| watches(policy, &names)),
        ejection: scenario.ejection().expect("the scenario was found in range"),
        names,
        balancer,
        seed,
        end,
        calls: &calls,
    };
    let mut tasks = Tasks::new(&agenda);
    for client in 0..scenario.arrivals.clients.unwrap_or(0) {
        tasks.start(u64::from(client), stage.client(Some(client)), None);
    }
    let mut traffic = Traffic::new(&scenario.arrivals, mix(seed, ARRIVALS), end);
    let (pulse, mut told) = ((scenario.duration.0 / 200).max(Duration::from_nanos(1)), Time::ZERO);
    loop {
        let next = traffic.as_mut().and_then(Traffic::next);
        let until = next.unwrap_or(end);
        while told + pulse <= until {
            told += pulse;
            settle(&mut tasks, &stage, told);
            run.progress(told.as_nanos() as f64 / end.as_nanos() as f64);
        }
        settle(&mut tasks, &stage, until);
        let Some(at) = next else { break };
        agenda.move_on(at);
        tasks.start(calls.get(), stage.client(None), None);
        settle(&mut tasks, &stage, at);
    }
    settle(&mut tasks, &stage, Time::NEVER);
    run.progress(1.0);
    close(tasks, &recorder);
    let servers = Some(fleet.borrow().summary(agenda.now()));
    drop(stage);
    summarise(&agenda, &policy, recorder).map(|summary| Summary { servers, ..summary })
}

/// Names and weights of the servers, made ready to be chosen from.
fn roster(scenario: &Scenario) -> (Vec<String>, Balancer) {
    let each = |servers: &Servers| (0..servers.count).map(|_| servers.weight).collect::<Vec<_>>();
    let weights: Vec<_> = scenario.servers.iter().flat_map(each).collect();
    let names: Vec<_> = (0..weights.len()).map(|id| format!("server-{id}")).collect();
    // Modelled callers keep no cookies: what binds each of them to one server is who it is.
    let by_caller = Balance::Hash(Key::ClientIp);
    let balance = match &scenario.balance {
        Balance::Sticky(_) => &by_caller,
        balance => balance,
    };
    let balancer = Balancer::new(balance, &names, &weights);
    (names, balancer)
}

/// The breakers of the servers, if they have any of their own.
fn watches(policy: &Policy, names: &[String]) -> Vec<Watch> {
    names.iter().filter_map(|name| policy.watch(name, &[Per::Endpoint])).collect()
}

/// Lets happen what is due at or before `to`.
fn settle<F: Future<Output = ()>>(tasks: &mut Tasks<'_, F>, stage: &Stage<'_, '_>, to: Time) {
    advance(tasks, stage.policy, stage.recorder, to, |tasks, number| {
        let ended = stage.fleet.borrow_mut().happens(number);
        if let Some(task) = ended {
            tasks.go_on(task);
        }
    });
}

/// What all calls of a scenario have in common.
struct Stage<'a, 'l> {
    agenda: &'a Agenda,
    policy: &'a Bound,
    recorder: &'a Recorder<'l>,
    fleet: &'a RefCell<Fleet<'a>>,
    names: Vec<String>,
    balancer: Balancer,
    /// Of each server, where they have breakers of their own.
    watches: Vec<Watch>,
    ejection: Ejection,
    seed: u64,
    /// When nobody begins another call.
    end: Time,
    calls: &'a Cell<u64>,
}

impl Stage<'_, '_> {
    /// Whether so many servers are left out that all are used.
    fn panics(&self, now: Time) -> bool {
        let ejected = self.watches.iter().filter(|watch| watch.is_ejected(now)).count();
        self.ejection.panics(ejected, self.watches.len())
    }

    /// One call; of a client, one after another until the end.
    async fn client(&self, client: Option<u32>) {
        loop {
            let began = self.agenda.now();
            if began >= self.end {
                return;
            }
            self.call(client).await;
            if client.is_none() {
                return;
            }
            // Or else time would stand still.
            if self.agenda.now() == began {
                self.agenda.sleep_until(began + Duration::from_millis(1)).await;
            }
        }
    }

    async fn call(&self, client: Option<u32>) {
        let id = self.calls.replace(self.calls.get() + 1);
        self.recorder.count_call();
        let observer = self.recorder.watch(id);
        let caller = Caller(client.map(|client| format!("client-{client}")));
        let seed = of_call(self.seed, id);
        let call = Call {
            method: "call",
            arrived: self.agenda.now(),
            deadline: None,
            idempotent: true,
            cost: 1,
            priority: 1,
            attempt_above: 1,
            keys: &caller,
            seed,
        };
        let exchange = Modelled { stage: self, caller: &caller, seed, picks: Cell::new(0) };
        let answer = run(self.policy, &call, self.agenda, &exchange, &observer).await;
        if let End::Ended(cause, ()) = answer.end {
            answer.held.settle(cause, self.agenda.now(), &observer);
        }
    }
}

/// The servers, as a balancer sees them at one moment: by the attempts that are waited for.
struct Choice<'s, 'a> {
    fleet: Ref<'s, Fleet<'a>>,
    /// Of each server that may be left out; none in a panic.
    watches: &'s [Watch],
    servers: usize,
    now: Time,
}

impl<'s, 'a> Choice<'s, 'a> {
    fn of(stage: &'s Stage<'a, '_>, now: Time) -> Self {
        let watches = if stage.panics(now) { &[][..] } else { &stage.watches };
        Self { fleet: stage.fleet.borrow(), watches, servers: stage.names.len(), now }
    }
}

impl Endpoints for Choice<'_, '_> {
    fn len(&self) -> usize {
        self.servers
    }

    fn in_flight(&self, server: u32) -> u32 {
        self.fleet.in_flight(server)
    }

    fn standing(&self, server: u32) -> Standing {
        match self.watches.get(server as usize).is_some_and(|watch| watch.is_ejected(self.now)) {
            true => Standing::Ejected,
            false => Standing::Usable,
        }
    }
}

/// Whom a keyed limit, or a balance by key, takes the caller for: a client of a closed loop is itself,
/// calls of an open loop are nobody's.
struct Caller(Option<String>);

impl Keys for Caller {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        match part {
            Key::Method | Key::Route => Some(b"call"),
            _ => self.0.as_deref().map(str::as_bytes),
        }
    }
}

/// The servers, as one call meets them.
struct Modelled<'s, 'a, 'l> {
    stage: &'s Stage<'a, 'l>,
    caller: &'s Caller,
    seed: u64,
    picks: Cell<u64>,
}

impl Exchange for Modelled<'_, '_, '_> {
    type Reply = ();

    fn pick(&self, tried: &[u32], now: Time) -> Option<Endpoint<'_>> {
        let random = of_pick(self.seed, self.picks.replace(self.picks.get() + 1));
        let ask = Ask { tried, key: self.caller.0.as_deref().map(str::as_bytes), random, now };
        let id = self.stage.balancer.pick(&Choice::of(self.stage, now), &ask)?;
        Some(Endpoint { id, name: &self.stage.names[id as usize], policy: None })
    }

    fn panics(&self, now: Time) -> bool {
        self.stage.panics(now)
    }

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<()> {
        Ended { cause: Cause::Status(status), retry_after: None, reply: () }
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<()> {
        let Stage { agenda, fleet, .. } = self.stage;
        let seed = mix(self.seed, SERVICE + u64::from(attempt.number));
        let (failures, service) = fleet.borrow().draw(attempt.endpoint.id, seed);
        let job = fleet.borrow_mut().come(attempt.endpoint.id, service);
        let mut visit = Visit {
            stage: self.stage,
            server: attempt.endpoint.id,
            job,
            began: attempt.started,
            failed: true,
        };
        // That its time is over is an end as well, and takes its turn among the ends.
        let _cut = attempt.deadline.map(|deadline| agenda.ends_by(deadline));
        poll_fn(|_| match fleet.borrow().is_served(job) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        visit.failed = unit(mix(seed, FAILS)) < failures;
        let cause = if visit.failed { Cause::Status(503) } else { Cause::Reply };
        Ended { cause, retry_after: None, reply: () }
    }
}

/// An attempt at a server. Dropped before it was served, it was given up.
struct Visit<'s, 'a, 'l> {
    stage: &'s Stage<'a, 'l>,
    server: u32,
    job: u32,
    began: Time,
    failed: bool,
}

impl Drop for Visit<'_, '_, '_> {
    fn drop(&mut self) {
        let now = self.stage.agenda.now();
        self.stage.fleet.borrow_mut().leave(self.job);
        let seen = if self.failed { Seen::Failure } else { Seen::Answer };
        self.stage.balancer.observe(self.server, self.began.until(now), seen, now);
    }
}

/// What the seeds are for.
const ARRIVALS: u64 = 0x6172_7269;
const FAILS: u64 = 0x6661_696c;
const SERVICE: u64 = 0x7365_7276 << 32;
