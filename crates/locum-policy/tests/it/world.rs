//! A world in virtual time: a clock moved by hand, calls that run on it, and servers by script.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use locum_policy::{
    Answer, Attempt, Bound, Call, Cause, Clock, End, Ended, Endpoint, Event, Exchange, Observer,
    Time, run,
};

/// Milliseconds as a point in time.
pub fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// Milliseconds as a stretch of time.
pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The clock: alarms go off when the world reaches them.
#[derive(Default)]
pub struct Virtual {
    now: Cell<Time>,
    alarms: RefCell<BTreeMap<(Time, u64), Waker>>,
    next: Cell<u64>,
}

impl Clock for Virtual {
    fn now(&self) -> Time {
        self.now.get()
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> {
        let id = self.next.get();
        self.next.set(id + 1);
        Alarm { clock: self, key: (at, id) }
    }
}

struct Alarm<'a> {
    clock: &'a Virtual,
    key: (Time, u64),
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.key.0 {
            return Poll::Ready(());
        }
        self.clock.alarms.borrow_mut().insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.clock.alarms.borrow_mut().remove(&self.key);
    }
}

/// Runs calls on a clock, each as soon as it is woken, in the order in which they began.
pub struct World {
    pub clock: Rc<Virtual>,
    tasks: RefCell<Vec<Option<Task>>>,
    pub log: Log,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl World {
    pub fn new() -> Self {
        Self { clock: Rc::default(), tasks: RefCell::default(), log: Log::default() }
    }

    /// Starts `future` now; the number cancels it.
    pub fn start(&self, future: impl Future<Output = ()> + 'static) -> usize {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.borrow_mut().push(Some(Task { future: Box::pin(future), woken }));
        let id = self.tasks.borrow().len() - 1;
        self.settle();
        id
    }

    /// Drops a task where it stands.
    pub fn cancel(&self, id: usize) {
        let task = self.tasks.borrow_mut()[id].take();
        drop(task);
        self.settle();
    }

    pub fn runs(&self, id: usize) -> bool {
        self.tasks.borrow()[id].is_some()
    }

    /// Moves the clock to `to`, stopping at every alarm on the way.
    pub fn advance(&self, to: Time) {
        loop {
            let due = self.clock.alarms.borrow().first_key_value().map(|(key, _)| *key);
            let Some((at, id)) = due.filter(|(at, _)| *at <= to) else { break };
            self.clock.now.set(at.max(self.clock.now()));
            let waker = self.clock.alarms.borrow_mut().remove(&(at, id));
            waker.expect("it was there").wake();
            self.settle();
        }
        self.clock.now.set(to.max(self.clock.now()));
    }

    /// Polls until nobody is awake.
    fn settle(&self) {
        loop {
            let awake = |task: &Option<Task>| {
                task.as_ref().is_some_and(|task| task.woken.0.swap(false, Ordering::SeqCst))
            };
            let Some(id) = self.tasks.borrow().iter().position(awake) else { break };
            let Some(mut task) = self.tasks.borrow_mut()[id].take() else { continue };
            let waker = Waker::from(Arc::clone(&task.woken));
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.borrow_mut()[id] = Some(task);
            }
        }
    }
}

/// What calls and their policies did, one line an event.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// How many lines contain `part`.
    pub fn count(&self, part: &str) -> usize {
        self.0.borrow().iter().filter(|line| line.contains(part)).count()
    }

    pub fn last(&self) -> String {
        self.0.borrow().last().cloned().unwrap_or_default()
    }
}

impl Observer for Log {
    fn event(&self, now: Time, event: &Event<'_>) {
        let mut line = String::new();
        let at = now.as_nanos() as f64 / 1e6;
        write!(line, "{at} ").unwrap();
        match event {
            Event::Admitted { kind, .. } => write!(line, "admitted {}", kind.name()),
            Event::Delayed { kind, wait, .. } => write!(line, "delayed {} {wait:?}", kind.name()),
            Event::Rejected(rejection) => {
                write!(line, "rejected {} {}", rejection.kind.name(), rejection.reason)
            }
            Event::WouldReject(rejection) => {
                write!(line, "would_reject {} {}", rejection.kind.name(), rejection.reason)
            }
            Event::Skipped { endpoint, rejection } => {
                write!(line, "skipped {endpoint} {}", rejection.reason)
            }
            Event::Attempt(attempt) => {
                let kind = format!("{:?}", attempt.kind).to_lowercase();
                write!(line, "attempt {} {kind} {}", attempt.number, attempt.endpoint.name)
            }
            Event::NotRetried { reason, .. } => write!(line, "not_retried {reason}"),
            Event::Settled { class, stale, .. } => {
                write!(line, "settled {class:?}{}", if *stale { " stale" } else { "" })
            }
            Event::State { target, transition, .. } => {
                let (from, to) = (transition.from.name(), transition.to.name());
                write!(line, "state {target} {from} {to} {}", transition.trigger.name())
            }
            Event::Done { outcome, attempts, took } => {
                write!(line, "done {} {attempts} {took:?}", outcome.name())
            }
        }
        .unwrap();
        self.0.borrow_mut().push(line);
    }
}

/// What one attempt meets.
#[derive(Clone, Copy, Debug)]
pub struct Meets {
    /// How long it takes; `None`: for ever.
    pub took: Option<Duration>,
    pub cause: Cause,
    pub retry_after: Option<Duration>,
}

pub fn meets(took: u64, cause: Cause) -> Meets {
    Meets { took: Some(millis(took)), cause, retry_after: None }
}

pub fn hangs() -> Meets {
    Meets { took: None, cause: Cause::Reply, retry_after: None }
}

/// Servers by script: each attempt in turn meets the next of `script`, the last one again and again.
pub struct Script {
    pub clock: Rc<Virtual>,
    pub script: Vec<Meets>,
    pub endpoints: Vec<(&'static str, Option<Bound>)>,
    pub next: Cell<usize>,
}

impl Exchange for Script {
    type Reply = usize;

    fn pick(&self, tried: &[u32], _: Time) -> Option<Endpoint<'_>> {
        let untried = (0..self.endpoints.len()).find(|id| !tried.contains(&(*id as u32)));
        let id = untried.or(if self.endpoints.is_empty() { None } else { Some(0) })?;
        let (name, policy) = &self.endpoints[id];
        Some(Endpoint { id: id as u32, name, policy: policy.as_ref() })
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<usize> {
        let index = self.next.replace(self.next.get() + 1);
        let meets = self.script[index.min(self.script.len() - 1)];
        match meets.took {
            Some(took) if took.is_zero() => {}
            Some(took) => self.clock.sleep_until(attempt.started + took).await,
            None => poll_fn(|_| Poll::Pending).await,
        }
        Ended { cause: meets.cause, retry_after: meets.retry_after, reply: index }
    }
}

/// A call and what it meets.
#[derive(Clone)]
pub struct Case {
    pub method: &'static str,
    pub deadline: Option<u64>,
    pub idempotent: bool,
    pub cost: u64,
    pub attempt_above: u32,
    pub seed: u64,
    pub script: Vec<Meets>,
    pub endpoints: Vec<(&'static str, Option<Bound>)>,
}

impl Case {
    pub fn new(script: &[Meets]) -> Self {
        Self {
            method: "Arith.Multiply",
            deadline: None,
            idempotent: true,
            cost: 1,
            attempt_above: 1,
            seed: 7,
            script: script.to_vec(),
            endpoints: vec![("a", None)],
        }
    }
}

impl World {
    /// A call begins now under `policy`; its answer's body is empty.
    pub fn call(&self, policy: &Bound, case: Case) -> usize {
        let (policy, clock, log) = (policy.clone(), Rc::clone(&self.clock), self.log.clone());
        self.start(async move {
            let arrived = clock.now();
            let exchange = Script {
                clock: Rc::clone(&clock),
                script: case.script,
                endpoints: case.endpoints,
                next: Cell::new(0),
            };
            let call = Call {
                method: case.method,
                arrived,
                deadline: case.deadline.map(|deadline| arrived + millis(deadline)),
                idempotent: case.idempotent,
                cost: case.cost,
                priority: 1,
                attempt_above: case.attempt_above,
                keys: &(),
                seed: case.seed,
            };
            let Answer { end, held, .. } = run(&policy, &call, &*clock, &exchange, &log).await;
            if let End::Ended(cause, _) = end {
                held.settle(cause, clock.now(), &log);
            }
        })
    }
}
