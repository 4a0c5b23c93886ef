//! How a worker runs: it is commanded, lets connections in, keeps house, and drains.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use locum_policy::Time;
use rustc_hash::FxHashMap;
use socket2::Socket;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use crate::acceptor::{Acceptor, Door, is_of_one_connection};
use crate::client::Client;
use crate::clock;
use crate::decisions::Ticks;
use crate::forward::Persistence;
use crate::pace;
use crate::parking;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::stream::Stream;
use crate::worker::{GRACE, Guest, Worker};

/// What a worker is told.
pub(crate) enum Command {
    /// Run by this plan from now on.
    Plan(Arc<Plan>),
    /// Accept on these sockets, and no others, for the listener of that name.
    Listen(String, Vec<Socket>),
    /// Accept no more for the listener of that name.
    Unlisten(String),
    /// Say that you are there.
    Answer(oneshot::Sender<()>),
    /// Accept no more at all, finish what is in flight, and end.
    Drain,
}

/// Runs `worker` until it is drained or no commander is left.
///
/// # Errors
///
/// The system refuses the runtime its descriptors.
pub(crate) fn run(worker: Rc<Worker>, commands: UnboundedReceiver<Command>) -> io::Result<()> {
    pace::be_punctual();
    let pace = Arc::clone(&worker.pace);
    let before_it_listens = move || pace.wait(clock::now).into_iter().for_each(pace::rest);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().on_thread_park(before_it_listens).build()?;
    LocalSet::new().block_on(&runtime, serve(worker, commands))
}

async fn serve(worker: Rc<Worker>, mut commands: UnboundedReceiver<Command>) -> io::Result<()> {
    let attendant = spawn_local(parking::attend(Rc::clone(&worker), worker.parking.watch()?));
    let alarms = Rc::clone(&worker.alarms);
    let driver = spawn_local(async move { alarms.drive().await });
    let sweeper = spawn_local(sweep(Rc::clone(&worker)));
    let ticker = worker.leads.then(|| spawn_local(tick(Rc::clone(&worker))));
    let mut doors: FxHashMap<String, Rc<Cell<bool>>> = FxHashMap::default();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Plan(plan) => worker.follow(plan),
            Command::Listen(name, sockets) => {
                let open = Rc::new(Cell::new(true));
                for socket in sockets {
                    let door = Door { name: name.clone(), open: Rc::clone(&open) };
                    // Its own guest, so that a drain waits for whoever stands at the door.
                    spawn_local(let_in(worker.guest(), door, socket));
                }
                if let Some(old) = doors.insert(name, open) {
                    old.set(false);
                    worker.alarms.wake_all();
                }
            }
            Command::Unlisten(name) => {
                if let Some(open) = doors.remove(&name) {
                    open.set(false);
                    worker.alarms.wake_all();
                }
            }
            // Whoever asked may have lost patience.
            Command::Answer(answer) => answer.send(()).unwrap_or_default(),
            Command::Drain => {
                worker.begin_drain();
                doors.values().for_each(|open| open.set(false));
                worker.alarms.wake_all();
                break;
            }
        }
    }
    finish(&worker).await;
    driver.abort();
    sweeper.abort();
    attendant.abort();
    ticker.into_iter().for_each(|ticker| ticker.abort());
    Ok(())
}

/// Waits until the last connection has ended.
async fn finish(worker: &Worker) {
    let alarm = worker.alarms.alarm();
    alarm.arm_in(GRACE);
    let mut graced = false;
    poll_fn(|cx| {
        if worker.is_empty() {
            return Poll::Ready(());
        }
        if !graced && alarm.poll(cx).is_ready() {
            // Idle connections look again and find that their grace is over.
            graced = true;
            alarm.disarm();
            worker.alarms.wake_all();
        }
        alarm.poll(cx)
    })
    .await;
}

/// Once a second: closes idle upstream connections that are too old or were closed by their peer,
/// and gives back half of what is spare, so that a flood's memory is gone soon after it.
async fn sweep(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        worker.pool.sweep(worker.alarms.read());
        worker.links.sweep();
        worker.http2.sweep();
        worker.lines.sweep(worker.alarms.read());
        worker.halve_spares();
    }
}

/// Tells the breakers of every policy the time, so that a probe is lost and a ramp ends on time though
/// nobody calls. One worker does it for all.
async fn tick(worker: Rc<Worker>) {
    let alarm = worker.alarms.alarm();
    loop {
        let now = worker.alarms.read();
        let plan = worker.plan();
        let due = plan.policies.iter().filter_map(|policy| policy.due()).min();
        // A probe that begins meanwhile has, as most have, a lease of more than a second; and whoever
        // calls finds out by himself.
        alarm.arm(
            due.unwrap_or(Time::NEVER)
                .clamp(now + Duration::from_millis(1), now + Duration::from_secs(1)),
        );
        poll_fn(|cx| alarm.poll(cx)).await;
        let (now, ticks) = (worker.alarms.read(), Ticks(worker.decisions.as_deref()));
        plan.policies.iter().for_each(|policy| policy.tick(now, &ticks));
    }
}

/// Lets connections in until the door is closed.
async fn let_in(guest: Guest, door: Door, socket: Socket) {
    let worker = guest.worker();
    let acceptor = match Acceptor::new(socket) {
        Ok(acceptor) => acceptor,
        Err(error) => {
            tracing::error!(listener = door.name, %error, "cannot listen");
            return;
        }
    };
    let alarm = worker.alarms.alarm();
    let mut complained = None;
    loop {
        match acceptor.accept(&door, &alarm).await {
            Ok(Some((stream, peer))) => welcome(worker, stream, peer, &door.name),
            Ok(None) => return,
            Err(error) if is_of_one_connection(&error) => {}
            // Out of descriptors or memory: connections wait in the kernel's queue. Look again
            // shortly, without spinning.
            Err(error) => {
                let now = worker.alarms.read();
                if complained.is_none_or(|at: Time| now.since(at) >= Duration::from_secs(1)) {
                    complained = Some(now);
                    tracing::warn!(listener = door.name, %error, "cannot accept; trying again");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn welcome(worker: &Rc<Worker>, stream: Stream, peer: Option<SocketAddr>, name: &str) {
    let plan = worker.plan();
    let Some(listener) = plan.listener(name) else { return };
    let client = peer.map(|peer| peer.ip().to_canonical());
    if !listener.takes_from(client) {
        return worker.shard.count_refused(listener.label, "proxy_protocol");
    }
    let Some(seat) = listener.admit(client) else {
        worker.shard.count_refused(listener.label, "connections");
        // Who waits for a handshake understands no other word, and one is more than we can spare.
        if listener.speaks_http_first() {
            spawn_local(turn_away(stream));
        }
        return;
    };
    let client = Client::new(stream, peer, Arc::clone(listener), seat, worker);
    let guest = worker.guest();
    let alarms = Rc::clone(&worker.alarms);
    spawn_local(alarms.turns(async move {
        client.serve(guest.worker()).await;
        drop(guest);
    }));
}

/// Tells a client that there is no room. A new connection takes that as soon as the runtime knows of it, which is in
/// its next turn.
async fn turn_away(mut stream: Stream) {
    let mut out = Vec::new();
    Refusal::connections().write(&mut out, false, Persistence::Closed);
    let _ = poll_fn(|cx| stream.poll_send(cx, &out)).await;
    poll_fn(|cx| {
        let _ = stream.poll_finish(cx);
        Poll::Ready(())
    })
    .await;
}
