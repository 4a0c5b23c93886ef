//! What belongs to one worker: its plan, its pools, its buffers, its counters.
//!
//! Nothing on the way of a call is shared with another worker but counters and policy state, so
//! there is no lock to wait for and no other core to wake. How a worker runs is told in `shift.rs`.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::Time;
use locum_policy::seed::of_call;
use locum_wire::http1::Head;

use crate::access::Access;
use crate::buffer::{Buffers, halve};
use crate::clerk::Clerk;
use crate::clock::{self, Alarms, WorkerClock};
use crate::conduit::Conduits;
use crate::decisions::Decisions;
use crate::http2;
use crate::log;
use crate::metrics::Shard;
use crate::outgoing::{Lines, Means};
use crate::pace::Pace;
use crate::parking::Parking;
use crate::places::Places;
use crate::plan::Plan;
use crate::random::Random;
use crate::record::Record;
use crate::rpc::links::Links;
use crate::rpc::transcode::room::Room;
use crate::telemetry::Tracer;
use crate::upstream::PoolSettings;
use crate::upstream::pool::{Connection, Pool};

/// What belongs to one worker.
pub(crate) struct Worker {
    plan: RefCell<Rc<View>>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) links: Links,
    pub(crate) http2: http2::Links,
    /// To servers that are asked who may call.
    pub(crate) lines: Lines,
    /// Copies of calls that are under way.
    pub(crate) mirrored: Places,
    /// Answers that are being compressed.
    pub(crate) compressed: Places,
    /// For bodies that become arguments of calls.
    pub(crate) room: Room,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) conduits: Conduits,
    pub(crate) alarms: Rc<Alarms>,
    /// Connections whose clients are silent.
    pub(crate) parking: Parking,
    pub(crate) clock: WorkerClock,
    /// Of its remote calls, and of those over HTTP/2.
    pub(crate) pace: Arc<Pace>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) access: Option<Access>,
    pub(crate) decisions: Option<Rc<Decisions>>,
    /// Where traces are told, if they are.
    pub(crate) tracer: Option<Tracer>,
    random: Cell<Random>,
    seed: Option<u64>,
    /// The number of its next call, and how many numbers on the one after that has.
    next_call: Cell<u64>,
    stride: u64,
    /// Whether it is the first of all.
    pub(crate) leads: bool,
    spare: Spare,
    /// When the drain began.
    draining: Cell<Option<Time>>,
    guests: Cell<usize>,
}

/// What a worker is given beside the plan.
#[derive(Default)]
pub(crate) struct Outfit {
    /// Which one it is, of how many.
    pub(crate) index: usize,
    pub(crate) of: usize,
    /// What every random choice follows from; `None`: they differ from process to process.
    pub(crate) seed: Option<u64>,
    pub(crate) clock: clock::Source,
    pub(crate) access: Option<Access>,
    pub(crate) decisions: Option<log::Writer>,
    pub(crate) tracer: Option<Tracer>,
}

/// A worker's own handle on the plan. A call counts itself in and out here, where no other worker
/// counts: the plan's own count would be fought over by all of them.
pub(crate) struct View(Arc<Plan>);

impl Deref for View {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.0
    }
}

/// Things with memory of their own, kept for reuse: the hot path allocates nothing but a call's state.
#[derive(Default)]
struct Spare {
    scratch: RefCell<Vec<Vec<u8>>>,
    #[expect(
        clippy::vec_box,
        reason = "a connection holds its head in a box, to be small without"
    )]
    heads: RefCell<Vec<Box<Head>>>,
    #[expect(clippy::vec_box, reason = "a call takes its record and gives it back without a copy")]
    records: RefCell<Vec<Box<Record>>>,
    clerks: RefCell<Vec<Clerk>>,
}

impl Spare {
    fn halve(&self) {
        halve(&mut self.scratch.borrow_mut());
        halve(&mut self.heads.borrow_mut());
        halve(&mut self.records.borrow_mut());
        halve(&mut self.clerks.borrow_mut());
    }
}

/// Spares of a kind that a worker keeps: as many as it has calls in flight when it is busy.
const KEPT: usize = 1024;
/// Most heads fit into so many bytes.
const HEAD: usize = 512;
/// Scratch buffers that grew larger than this are freed.
const SCRATCH: usize = 4 * 1024;
/// How long a drain leaves idle connections open for a request that is on its way; it is answered
/// with `Connection: close`. Closing at once would lose it.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

impl Worker {
    /// One that has nothing to do yet.
    ///
    /// # Errors
    ///
    /// The system has no more descriptors.
    pub(crate) fn new(plan: Arc<Plan>, shard: Arc<Shard>, outfit: Outfit) -> io::Result<Rc<Self>> {
        let Outfit { index, of, seed, clock, access, decisions, tracer } = outfit;
        let alarms = Alarms::new(clock);
        let own_seed = seed.map_or_else(crate::random::seed, |seed| seed ^ index as u64);
        Ok(Rc::new(Self {
            plan: RefCell::new(Rc::new(View(plan))),
            pool: Pool::new(),
            links: Links::default(),
            http2: http2::Links::default(),
            lines: Lines::default(),
            mirrored: Places::default(),
            compressed: Places::default(),
            room: Room::default(),
            buffers: Buffers::new(),
            conduits: Conduits::default(),
            parking: Parking::new(&alarms)?,
            clock: WorkerClock(Rc::clone(&alarms)),
            alarms,
            pace: Arc::default(),
            shard,
            access,
            decisions: decisions.map(Decisions::new),
            tracer,
            random: Cell::new(Random::new(own_seed)),
            seed,
            next_call: Cell::new(index as u64),
            stride: of as u64,
            leads: index == 0,
            spare: Spare::default(),
            draining: Cell::new(None),
            guests: Cell::new(0),
        }))
    }

    /// The plan of this moment; a call keeps the one that it began with.
    pub(crate) fn plan(&self) -> Rc<View> {
        Rc::clone(&self.plan.borrow())
    }

    /// Calls that begin from now on are served by `plan`.
    pub(crate) fn follow(&self, plan: Arc<Plan>) {
        *self.plan.borrow_mut() = Rc::new(View(plan));
    }

    /// What it takes to ask somebody.
    pub(crate) fn means(&self) -> Means {
        Means { buffers: Rc::clone(&self.buffers), alarms: Rc::clone(&self.alarms) }
    }

    /// From now on connections end with their next answer.
    pub(crate) fn begin_drain(&self) {
        self.draining.set(Some(self.alarms.read()));
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get().is_some()
    }

    /// Somebody whose end a drain waits for.
    pub(crate) fn guest(self: &Rc<Self>) -> Guest {
        self.guests.set(self.guests.get() + 1);
        Guest(Rc::clone(self))
    }

    /// Whether nobody is left to wait for.
    pub(crate) fn is_empty(&self) -> bool {
        self.guests.get() == 0 && self.parking.is_empty()
    }

    /// Tells a drain that it is over, if it is.
    pub(crate) fn tell_if_empty(&self) {
        if self.is_draining() && self.is_empty() {
            self.alarms.wake_all();
        }
    }

    /// Whether a connection that waits for a request is to be closed.
    pub(crate) fn closes_idle(&self) -> bool {
        self.draining.get().is_some_and(|since| self.alarms.read().since(since) >= GRACE)
    }

    /// The present, read once a turn.
    pub(crate) fn now(&self) -> Time {
        self.alarms.now()
    }

    pub(crate) fn random(&self) -> u64 {
        let mut random = self.random.take();
        let number = random.next();
        self.random.set(random);
        number
    }

    /// Numbers a call. Workers count past each other, so that numbers are never shared and nobody
    /// waits for them; one worker alone counts 0, 1, 2 and so on.
    pub(crate) fn number_call(&self) -> u64 {
        let number = self.next_call.get();
        self.next_call.set(number + self.stride);
        number
    }

    /// What the random choices of the call of that number follow from.
    pub(crate) fn call_seed(&self, number: u64) -> u64 {
        self.seed.map_or_else(|| self.random(), |seed| of_call(seed, number))
    }

    /// Keeps a connection that has nothing left to read or write.
    pub(crate) fn keep(&self, connection: Box<Connection>, settings: &PoolSettings) {
        let is_for_one = connection.endpoint.proxy_protocol.is_some();
        if !self.is_draining() && !is_for_one {
            self.pool.give(connection, settings, self.now());
        }
    }

    /// Gives back half of what is spare.
    pub(crate) fn halve_spares(&self) {
        self.buffers.halve();
        self.conduits.halve();
        self.spare.halve();
        self.parking.shrink();
    }

    /// An empty buffer to write a message into.
    pub(crate) fn scratch(&self) -> Vec<u8> {
        self.spare.scratch.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(HEAD))
    }

    pub(crate) fn give_scratch(&self, mut scratch: Vec<u8>) {
        let mut spare = self.spare.scratch.borrow_mut();
        if spare.len() < KEPT && (1..=SCRATCH).contains(&scratch.capacity()) {
            scratch.clear();
            spare.push(scratch);
        }
    }

    /// A cleared head.
    pub(crate) fn head(&self) -> Box<Head> {
        self.spare.heads.borrow_mut().pop().unwrap_or_else(|| Box::new(Head::new()))
    }

    pub(crate) fn give_head(&self, mut head: Box<Head>) {
        let mut spare = self.spare.heads.borrow_mut();
        if spare.len() < KEPT {
            head.clear();
            spare.push(head);
        }
    }

    /// A clerk with nothing to do.
    pub(crate) fn clerk(&self) -> Clerk {
        self.spare.clerks.borrow_mut().pop().unwrap_or_else(Clerk::new)
    }

    pub(crate) fn give_clerk(&self, clerk: Clerk) {
        let mut spare = self.spare.clerks.borrow_mut();
        if spare.len() < KEPT {
            spare.push(clerk);
        }
    }

    /// The record of a call that begins now.
    pub(crate) fn record(&self, started: Time) -> Box<Record> {
        let spare = self.spare.records.borrow_mut().pop();
        let mut record = spare.unwrap_or_else(|| Box::new(Record::new(self.decisions.clone())));
        record.begin(started);
        record
    }

    pub(crate) fn give_record(&self, record: Box<Record>) {
        let mut spare = self.spare.records.borrow_mut();
        if spare.len() < KEPT {
            spare.push(record);
        }
    }
}

/// A connection, or a door, that a drain waits for.
pub(crate) struct Guest(Rc<Worker>);

impl Guest {
    /// Whose guest it is.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.0
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The runtime catches it; the other connections go on.
            self.0.shard.count_panic();
        }
        self.0.guests.set(self.0.guests.get() - 1);
        self.0.tell_if_empty();
    }
}

#[cfg(test)]
impl Worker {
    /// One with nothing to do.
    pub(crate) fn idle() -> Rc<Self> {
        Self::idle_by(clock::Source::System)
    }

    /// The same, by that clock.
    pub(crate) fn idle_by(clock: clock::Source) -> Rc<Self> {
        let outfit = Outfit { of: 1, clock, ..Outfit::default() };
        Self::new(Arc::new(Plan::of_nothing()), Arc::default(), outfit).expect("an epoll")
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::metrics::{Exposition, Format, render};

    fn metrics(worker: &Worker) -> String {
        let mut text = Exposition::new(Format::Prometheus);
        render(&mut text, &worker.plan(), &[Arc::clone(&worker.shard)], Time::ZERO);
        text.finish()
    }

    #[test]
    fn a_panic_in_one_connection_is_counted_and_leaves_no_guest_behind() {
        let worker = Worker::idle();
        let (bystander, doomed) = (worker.guest(), worker.guest());
        let fault = catch_unwind(AssertUnwindSafe(|| {
            let _doomed = doomed;
            std::panic::resume_unwind(Box::new("a fault of ours"));
        }));
        assert!(fault.is_err());
        assert!(metrics(&worker).contains("locum_panics_total 1\n"));
        assert!(!worker.is_empty());
        drop(bystander);
        assert!(worker.is_empty());
    }

    #[test]
    fn what_is_spare_fades_away() {
        let worker = Worker::idle();
        (0..8).for_each(|_| worker.give_scratch(Vec::with_capacity(SCRATCH)));
        (0..4).for_each(|_| worker.halve_spares());
        assert!(worker.spare.scratch.borrow().is_empty());
        worker.give_scratch(Vec::with_capacity(SCRATCH + 1));
        assert!(worker.spare.scratch.borrow().is_empty(), "large ones are not kept at all");
    }
}
