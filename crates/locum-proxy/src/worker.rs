//! One worker: a thread with a runtime of its own, its own listening sockets and its own pools.
//!
//! Nothing on the way of a call is shared with another worker but counters and policy state, so
//! there is no lock to wait for and no other core to wake.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use locum_policy::Time;
use locum_wire::http1::Head;
use rustc_hash::FxHashMap;
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{LocalSet, spawn_local};

use crate::access;
use crate::buffer::Buffers;
use crate::client::Client;
use crate::clock::{Alarm, Alarms, WorkerClock, now};
use crate::metrics::Shard;
use crate::plan::Plan;
use crate::random::Random;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::stream::Stream;
use crate::upstream::PoolSettings;
use crate::upstream::pool::{Connection, Pool};

/// What a worker is told.
pub(crate) enum Command {
    /// Run by this plan from now on.
    Plan(Arc<Plan>),
    /// Accept on this socket for the listener of that name.
    Listen(String, Socket),
    /// Accept no more for the listener of that name.
    Unlisten(String),
    /// Accept no more at all, finish what is in flight, and end.
    Drain,
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

/// What belongs to one worker.
pub(crate) struct Worker {
    plan: RefCell<Rc<View>>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) alarms: Rc<Alarms>,
    pub(crate) clock: WorkerClock,
    pub(crate) shard: Arc<Shard>,
    pub(crate) access: Option<access::Writer>,
    random: Cell<Random>,
    spare: Spare,
    /// When the drain began.
    draining: Cell<Option<Time>>,
    connections: Cell<usize>,
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
    records: RefCell<Vec<Record>>,
}

impl Spare {
    fn halve(&self) {
        halve(&mut self.scratch.borrow_mut());
        halve(&mut self.heads.borrow_mut());
        halve(&mut self.records.borrow_mut());
    }
}

/// Frees half of what is spare, and the room for it.
pub(crate) fn halve<T>(spare: &mut Vec<T>) {
    spare.truncate(spare.len() / 2);
    spare.shrink_to(spare.len() * 2);
}

/// Spares of a kind that a worker keeps: as many as it has calls in flight when it is busy.
const KEPT: usize = 1024;
/// Most heads fit into so many bytes.
const HEAD: usize = 512;
/// Scratch buffers that grew larger than this are freed.
const SCRATCH: usize = 4 * 1024;
/// How long a drain leaves idle connections open for a request that is on its way; it is answered
/// with `Connection: close`. Closing at once would lose it.
const GRACE: Duration = Duration::from_secs(1);

impl Worker {
    pub(crate) fn new(
        plan: Arc<Plan>,
        shard: Arc<Shard>,
        access: Option<access::Writer>,
    ) -> Rc<Self> {
        let alarms = Alarms::new();
        Rc::new(Self {
            plan: RefCell::new(Rc::new(View(plan))),
            pool: Pool::new(),
            buffers: Buffers::new(),
            clock: WorkerClock(Rc::clone(&alarms)),
            alarms,
            shard,
            access,
            random: Cell::new(Random::new(crate::random::seed())),
            spare: Spare::default(),
            draining: Cell::new(None),
            connections: Cell::new(0),
        })
    }

    /// Runs until it is drained or no commander is left.
    pub(crate) fn run(self: Rc<Self>, commands: UnboundedReceiver<Command>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.serve(commands));
        Ok(())
    }

    async fn serve(self: Rc<Self>, mut commands: UnboundedReceiver<Command>) {
        let alarms = Rc::clone(&self.alarms);
        let driver = spawn_local(async move { alarms.drive().await });
        let sweeper = spawn_local(Rc::clone(&self).sweep());
        let mut doors: FxHashMap<String, Rc<Cell<bool>>> = FxHashMap::default();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Plan(plan) => *self.plan.borrow_mut() = Rc::new(View(plan)),
                Command::Listen(name, socket) => {
                    let open = Rc::new(Cell::new(true));
                    let door = Door { name: name.clone(), open: Rc::clone(&open) };
                    if let Some(old) = doors.insert(name, open) {
                        old.set(false);
                    }
                    spawn_local(Rc::clone(&self).accept(door, socket));
                }
                Command::Unlisten(name) => {
                    if let Some(open) = doors.remove(&name) {
                        open.set(false);
                        self.alarms.wake_all();
                    }
                }
                Command::Drain => {
                    self.draining.set(Some(now()));
                    doors.values().for_each(|open| open.set(false));
                    self.alarms.wake_all();
                    break;
                }
            }
        }
        self.finish().await;
        driver.abort();
        sweeper.abort();
    }

    /// Waits until the last connection has ended.
    async fn finish(&self) {
        let alarm = self.alarms.alarm();
        alarm.arm_in(GRACE);
        let mut graced = false;
        poll_fn(|cx| {
            if self.connections.get() == 0 {
                return Poll::Ready(());
            }
            if !graced && alarm.poll(cx).is_ready() {
                // Idle connections look again and find that their grace is over.
                graced = true;
                alarm.disarm();
                self.alarms.wake_all();
            }
            alarm.poll(cx)
        })
        .await;
    }

    /// Once a second: closes idle upstream connections that are too old or were closed by their
    /// peer, and gives back half of what is spare, so that a flood's memory is gone soon after it.
    async fn sweep(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            self.pool.sweep(now());
            self.buffers.halve();
            self.spare.halve();
        }
    }

    async fn accept(self: Rc<Self>, door: Door, socket: Socket) {
        let acceptor = match Acceptor::new(socket) {
            Ok(acceptor) => acceptor,
            Err(error) => {
                tracing::error!(listener = door.name, %error, "cannot listen");
                return;
            }
        };
        let alarm = self.alarms.alarm();
        let mut complained = None;
        loop {
            match acceptor.accept(&door, &alarm).await {
                Ok(Some((stream, peer))) => self.welcome(stream, peer, &door.name),
                Ok(None) => return,
                Err(error) if is_of_one_connection(&error) => {}
                // Out of descriptors or memory: connections wait in the kernel's queue. Look again
                // shortly, without spinning.
                Err(error) => {
                    let now = now();
                    if complained.is_none_or(|at: Time| now.since(at) >= Duration::from_secs(1)) {
                        complained = Some(now);
                        tracing::warn!(listener = door.name, %error, "cannot accept; trying again");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn welcome(self: &Rc<Self>, stream: Stream, peer: Option<std::net::SocketAddr>, name: &str) {
        let plan = self.plan();
        let Some(listener) = plan.listener(name) else { return };
        let client = peer.map(|peer| peer.ip().to_canonical());
        let Some(seat) = listener.admit(client) else {
            self.shard.count_refused(listener.label, "connections");
            spawn_local(turn_away(stream));
            return;
        };
        let client = Client::new(stream, peer, Arc::clone(listener), seat, self);
        self.connections.set(self.connections.get() + 1);
        let guest = Guest(Rc::clone(self));
        let alarms = Rc::clone(&self.alarms);
        spawn_local(alarms.turns(Box::pin(async move {
            client.serve(&guest.0).await;
            drop(guest);
        })));
    }

    /// The plan of this moment; a call keeps the one that it began with.
    pub(crate) fn plan(&self) -> Rc<View> {
        Rc::clone(&self.plan.borrow())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get().is_some()
    }

    /// Whether a connection that waits for a request is to be closed.
    pub(crate) fn closes_idle(&self) -> bool {
        self.draining.get().is_some_and(|since| now().since(since) >= GRACE)
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

    /// Keeps a connection that has nothing left to read or write.
    pub(crate) fn keep(&self, connection: Box<Connection>, settings: &PoolSettings) {
        if !self.is_draining() {
            self.pool.give(connection, settings, self.now());
        }
    }

    /// An empty buffer to write a message into.
    pub(crate) fn scratch(&self) -> Vec<u8> {
        self.spare.scratch.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(HEAD))
    }

    pub(crate) fn give_scratch(&self, mut scratch: Vec<u8>) {
        let mut spare = self.spare.scratch.borrow_mut();
        if spare.len() < KEPT && scratch.capacity() <= SCRATCH {
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

    /// The record of a call that begins now.
    pub(crate) fn record(&self, started: Time) -> Record {
        let mut record = self.spare.records.borrow_mut().pop().unwrap_or_default();
        record.begin(started);
        record
    }

    pub(crate) fn give_record(&self, record: Record) {
        let mut spare = self.spare.records.borrow_mut();
        if spare.len() < KEPT {
            spare.push(record);
        }
    }
}

/// A connection's place among those that a drain waits for.
struct Guest(Rc<Worker>);

impl Drop for Guest {
    fn drop(&mut self) {
        let left = self.0.connections.get() - 1;
        self.0.connections.set(left);
        if left == 0 && self.0.is_draining() {
            self.0.alarms.wake_all();
        }
    }
}

/// A listener's way in, until it is closed.
struct Door {
    name: String,
    open: Rc<Cell<bool>>,
}

enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

type Accepted = (Stream, Option<std::net::SocketAddr>);

impl Acceptor {
    fn new(socket: Socket) -> io::Result<Self> {
        if socket.local_addr()?.is_unix() {
            UnixListener::from_std(socket.into()).map(Self::Unix)
        } else {
            TcpListener::from_std(socket.into()).map(Self::Tcp)
        }
    }

    /// The next connection; `None` when the door is closed and nobody is left in front of it.
    async fn accept(&self, door: &Door, alarm: &Alarm) -> io::Result<Option<Accepted>> {
        poll_fn(|cx| {
            let polled = match self {
                Self::Tcp(listener) => listener
                    .poll_accept(cx)
                    .map_ok(|(stream, peer)| (Stream::Tcp(stream), Some(peer))),
                Self::Unix(listener) => {
                    listener.poll_accept(cx).map_ok(|(stream, _)| (Stream::Unix(stream), None))
                }
            };
            match polled {
                Poll::Ready(accepted) => Poll::Ready(accepted.map(Some)),
                // The runtime may not have heard yet of connections that are made already.
                Poll::Pending if !door.open.get() => Poll::Ready(self.accept_left()),
                Poll::Pending => alarm.poll(cx).map(|()| Ok(None)),
            }
        })
        .await
    }

    /// A connection that was made before the door closed: closing the socket would reset it.
    fn accept_left(&self) -> io::Result<Option<Accepted>> {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(listener) => SockRef::from(listener),
        };
        match socket.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                let peer = peer.as_socket();
                let stream = match self {
                    Self::Tcp(_) => Stream::Tcp(TcpStream::from_std(stream.into())?),
                    Self::Unix(_) => Stream::Unix(UnixStream::from_std(stream.into())?),
                };
                Ok(Some((stream, peer)))
            }
        }
    }
}

/// Errors that speak of the connection that was to be accepted, not of us.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Tells a client that there is no room, if it takes that at once.
async fn turn_away(mut stream: Stream) {
    let mut out = Vec::new();
    Refusal::connections().write(&mut out, false, crate::forward::Persistence::Closed);
    poll_fn(|cx| {
        let _ = stream.poll_send(cx, &out);
        let _ = stream.poll_finish(cx);
        Poll::Ready(())
    })
    .await;
}
