//! A world in virtual time: a clock moved by hand, calls that run on it, and servers by script.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use locum_policy::{
    Answer, Attempt, Bound, Call, Cause, Clock, End, Ended, Endpoint, Event, Exchange, Key, Keys,
    Observer, Policy, Rejection, Settings, Time, run,
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

impl Virtual {
    /// Puts the clock forward over every alarm on the way; they go off when the world next moves on.
    pub fn jump(&self, to: Time) {
        self.now.set(to.max(self.now.get()));
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
    tasks: RefCell<BTreeMap<usize, Task>>,
    next: Cell<usize>,
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
        Self {
            clock: Rc::default(),
            tasks: RefCell::default(),
            next: Cell::new(0),
            log: Log::default(),
        }
    }

    /// Starts `future` now; the number cancels it.
    pub fn start(&self, future: impl Future<Output = ()> + 'static) -> usize {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let id = self.next.replace(self.next.get() + 1);
        self.tasks.borrow_mut().insert(id, Task { future: Box::pin(future), woken });
        self.settle();
        id
    }

    /// Drops a task where it stands.
    pub fn cancel(&self, id: usize) {
        let task = self.tasks.borrow_mut().remove(&id);
        drop(task);
        self.settle();
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
            let awake = |(id, task): (&usize, &Task)| {
                task.woken.0.swap(false, Ordering::SeqCst).then_some(*id)
            };
            let Some(id) = self.tasks.borrow().iter().find_map(awake) else { break };
            let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { continue };
            let waker = Waker::from(Arc::clone(&task.woken));
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.borrow_mut().insert(id, task);
            }
        }
    }
}

/// What calls and their policies did, one line an event.
#[derive(Clone, Default)]
pub struct Log {
    lines: Rc<RefCell<Vec<String>>>,
    detail: Rc<RefCell<String>>,
    told: Rc<Cell<Option<Duration>>>,
    remaining: Rc<Cell<Option<u64>>>,
}

impl Log {
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// How many lines contain `part`.
    pub fn count(&self, part: &str) -> usize {
        self.lines.borrow().iter().filter(|line| line.contains(part)).count()
    }

    pub fn clear(&self) {
        self.lines.borrow_mut().clear();
    }

    /// What the tightest limit had left after the last call.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining.get()
    }

    /// The time that the last attempt was told it has.
    pub fn told(&self) -> Option<Duration> {
        self.told.get()
    }

    /// The sentence of the last refusal.
    pub fn detail(&self) -> String {
        self.detail.borrow().clone()
    }

    pub fn last(&self) -> String {
        self.lines.borrow().last().cloned().unwrap_or_default()
    }
}

fn short(rejection: &Rejection) -> String {
    let after = rejection.retry_after.map(|after| format!(" {after:?}")).unwrap_or_default();
    format!("{} {}{after}", rejection.kind.name(), rejection.reason)
}

impl Observer for Log {
    fn event(&self, now: Time, event: &Event<'_>) {
        let mut line = String::new();
        let at = now.as_nanos() as f64 / 1e6;
        write!(line, "{at} ").unwrap();
        match event {
            Event::Admitted { kind, limit, .. } => {
                self.remaining.set(limit.map(|limit| limit.state().remaining));
                write!(line, "admitted {}", kind.name())
            }
            Event::Delayed { kind, wait, .. } => write!(line, "delayed {} {wait:?}", kind.name()),
            Event::Rejected(rejection) => {
                self.detail.borrow_mut().clone_from(&rejection.detail);
                write!(line, "rejected {}", short(rejection))
            }
            Event::WouldReject(rejection) => {
                write!(line, "would_reject {}", short(rejection))
            }
            Event::Skipped { endpoint, rejection } => {
                write!(line, "skipped {endpoint} {}", rejection.reason)
            }
            Event::Attempt(attempt) => {
                self.told.set(attempt.deadline.map(|deadline| attempt.started.until(deadline)));
                let kind = format!("{:?}", attempt.kind).to_lowercase();
                write!(line, "attempt {} {kind} {}", attempt.number, attempt.endpoint.name)
            }
            Event::Injected { attempt, injection, shadow, .. } => {
                let would = if *shadow { "would_inject" } else { "injected" };
                write!(line, "{would} {attempt} {:?} {:?}", injection.delay, injection.abort)
            }
            Event::FellBack { shadow, .. } => {
                write!(line, "{}", if *shadow { "would_fall_back" } else { "fell_back" })
            }
            Event::NotHedged { reason, .. } => write!(line, "not_hedged {reason}"),
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
        self.lines.borrow_mut().push(line);
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
    pub repeatable: bool,
}

impl Exchange for Script {
    type Reply = usize;

    fn pick(&self, tried: &[u32], _: Time) -> Option<Endpoint<'_>> {
        let untried = (0..self.endpoints.len()).find(|id| !tried.contains(&(*id as u32)));
        let id = untried.or(if self.endpoints.is_empty() { None } else { Some(0) })?;
        let (name, policy) = &self.endpoints[id];
        Some(Endpoint { id: id as u32, name, policy: policy.as_ref() })
    }

    fn repeatable(&self) -> bool {
        self.repeatable
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

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<usize> {
        Ended { cause: Cause::Status(status), retry_after: None, reply: usize::MAX }
    }
}

/// The keys of a test's calls: a client, and one header.
pub struct Client(pub String, pub Option<&'static str>);

impl Keys for Client {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        match part {
            Key::ClientIp => Some(self.0.as_bytes()),
            Key::Header(name) if **name == *"x-priority" => self.1.map(str::as_bytes),
            _ => None,
        }
    }
}

/// A call and what it meets.
#[derive(Clone)]
pub struct Case {
    pub client: String,
    pub method: String,
    pub deadline: Option<u64>,
    /// How long the answer's body takes.
    pub body: u64,
    /// Whether the answer is dropped instead of settled.
    pub dropped: bool,
    pub idempotent: bool,
    /// Whether what was sent can be sent again.
    pub repeatable: bool,
    pub cost: u64,
    pub priority: u8,
    /// The value of the header `x-priority`.
    pub header: Option<&'static str>,
    pub attempt_above: u32,
    pub seed: u64,
    pub script: Vec<Meets>,
    pub endpoints: Vec<(&'static str, Option<Bound>)>,
}

impl Case {
    pub fn new(script: &[Meets]) -> Self {
        Self {
            client: "192.0.2.1".into(),
            method: "Arith.Multiply".into(),
            deadline: None,
            body: 0,
            dropped: false,
            idempotent: true,
            repeatable: true,
            cost: 1,
            priority: 1,
            header: None,
            attempt_above: 1,
            seed: 7,
            script: script.to_vec(),
            endpoints: vec![("a", None)],
        }
    }
}

/// A policy bound to the upstream "up".
pub fn bound(settings: &Settings) -> Bound {
    Policy::build("test", settings, 1, None).unwrap().bind("up")
}

impl World {
    /// The time moves on to `millis`, and a call begins.
    pub fn call_at(&self, millis: u64, policy: &Bound, case: Case) -> usize {
        self.advance(ms(millis));
        self.call(policy, case)
    }

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
                repeatable: case.repeatable,
            };
            let call = Call {
                method: &case.method,
                arrived,
                deadline: case.deadline.map(|deadline| arrived + millis(deadline)),
                idempotent: case.idempotent,
                cost: case.cost,
                priority: case.priority,
                attempt_above: case.attempt_above,
                keys: &Client(case.client, case.header),
                seed: case.seed,
            };
            let Answer { end, held, .. } = run(&policy, &call, &*clock, &exchange, &log).await;
            if let End::Ended(cause, _) = end {
                if case.body > 0 {
                    clock.sleep_until(clock.now() + millis(case.body)).await;
                }
                if !case.dropped {
                    held.settle(cause, clock.now(), &log);
                }
            }
        })
    }
}

/// A call that is answered at once with `cause`, without a world around it; tells whether it passed.
pub fn at_once(policy: &Bound, now: Time, cause: Cause) -> bool {
    at_once_seeded(policy, now, cause, 7)
}

/// The same, for the call with this seed.
pub fn at_once_seeded(policy: &Bound, now: Time, cause: Cause, seed: u64) -> bool {
    struct Still(Time);

    impl Clock for Still {
        fn now(&self) -> Time {
            self.0
        }

        fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
            std::future::pending()
        }
    }

    struct Ready(Cause);

    impl Exchange for Ready {
        type Reply = ();

        fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
            Some(Endpoint { id: 0, name: "a", policy: None })
        }

        async fn send(&self, _: &Attempt<'_>) -> Ended<()> {
            Ended { cause: self.0, retry_after: None, reply: () }
        }

        fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<()> {
            Ended { cause: Cause::Status(status), retry_after: None, reply: () }
        }
    }

    let call = Call {
        method: "Arith.Multiply",
        arrived: now,
        deadline: None,
        idempotent: true,
        cost: 1,
        priority: 1,
        attempt_above: 1,
        keys: &(),
        seed,
    };
    let (clock, exchange) = (Still(now), Ready(cause));
    let work = pin!(run(policy, &call, &clock, &exchange, &()));
    let Poll::Ready(answer) = work.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the call waits")
    };
    let passed = matches!(answer.end, End::Ended(..));
    answer.held.settle(cause, now, &());
    passed
}
