//! Where connections are kept whose clients have been silent for a while.
//!
//! A connection that waits as a task goes on at once, and costs 0.9 KiB: the task, what is known of the client, and what
//! the runtime knows of the socket. Parked, it is its socket and what is known of the client. An epoll of the worker's
//! own watches all that are parked, and is itself watched by the runtime. To park a connection takes two calls of the
//! kernel, and so does taking it up again: who keeps coming back is parked later each time (see [`patience`]).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use locum_policy::Time;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::retry_on_intr;
use slab::Slab;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

use crate::client::{Client, Parked};
use crate::clock::{Alarm, Alarms};
use crate::watch;
use crate::worker::Worker;

/// The parked connections of one worker.
pub(crate) struct Parking {
    /// Tells who of them has something to say, by their keys.
    watch: Rc<OwnedFd>,
    parked: RefCell<Slab<Box<Parked>>>,
    /// Goes off when the first of them has been silent for too long.
    alarm: Alarm,
    /// When that is, or before.
    earliest: Cell<Time>,
}

/// How long a client may be silent before its connection is parked, which has happened `times` before.
///
/// Who is never silent for as long as the last of these costs nothing more after it was parked a few times.
pub(crate) fn patience(times: u8) -> Duration {
    Duration::from_millis(500) * (1 << times.min(4))
}

/// Rounded up by less than 0.14 s: what happens to many is done for all of them at once.
pub(crate) fn rounded(at: Time) -> Time {
    const STEP: u64 = 1 << 27;
    Time::from_nanos(at.as_nanos() | (STEP - 1))
}

/// Clients that are heard in one turn; others have theirs in between.
const AT_ONCE: usize = 64;

impl Parking {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// The system has no more descriptors.
    pub(crate) fn new(alarms: &Rc<Alarms>) -> io::Result<Self> {
        Ok(Self {
            watch: Rc::new(epoll::create(CreateFlags::CLOEXEC)?),
            parked: RefCell::default(),
            alarm: alarms.alarm(),
            earliest: Cell::new(Time::NEVER),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parked.borrow().is_empty()
    }

    /// Parks a connection until its client speaks; at `until` it is closed. It is closed at once if the system does
    /// not let us watch it.
    pub(crate) fn park(&self, client: Client, until: Time) {
        if let Err(error) = client.park(until).and_then(|parked| self.add(parked)) {
            tracing::warn!(%error, "a connection was closed that cannot be parked");
        }
    }

    fn add(&self, parked: Parked) -> io::Result<()> {
        let mut all = self.parked.borrow_mut();
        let place = all.vacant_entry();
        let key = EventData::new_u64(place.key() as u64);
        epoll::add(&self.watch, &parked.socket, key, EventFlags::IN | EventFlags::RDHUP)?;
        if parked.until < self.earliest.get() {
            self.wait_until(parked.until);
        }
        place.insert(Box::new(parked));
        Ok(())
    }

    fn wait_until(&self, at: Time) {
        self.earliest.set(at);
        self.alarm.arm(at);
    }

    /// Closes those that have been silent for too long.
    fn close_due(&self, now: Time) {
        let mut earliest = Time::NEVER;
        self.parked.borrow_mut().retain(|_, parked| {
            let stays = parked.until > now;
            if stays {
                earliest = earliest.min(parked.until);
            }
            stays
        });
        self.wait_until(earliest);
    }

    fn close_all(&self) {
        self.parked.borrow_mut().clear();
    }

    /// Takes out a few of those whose clients have spoken or left, and lets those who have spoken go on. Says how many
    /// they were.
    fn take_up(&self, worker: &Rc<Worker>) -> io::Result<usize> {
        let mut events = Vec::with_capacity(AT_ONCE);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        retry_on_intr(|| epoll::wait(&self.watch, spare_capacity(&mut events), Some(&at_once)))?;
        for event in &events {
            let key = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let Some(parked) = self.parked.borrow_mut().try_remove(key) else { continue };
            let flags = event.flags;
            if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR)
                && parked.socket.is_at_end()
            {
                continue;
            }
            let taken = epoll::delete(&self.watch, &parked.socket)
                .map_err(io::Error::from)
                .and_then(|()| go_on(*parked, worker));
            if let Err(error) = taken {
                tracing::warn!(%error, "a connection was closed that cannot go on");
            }
        }
        Ok(events.len())
    }

    /// Gives back room that a flood of connections took.
    pub(crate) fn shrink(&self) {
        let mut parked = self.parked.borrow_mut();
        if parked.len() < parked.capacity() / 4 {
            parked.shrink_to_fit();
        }
    }
}

/// Serves what its client has begun to say.
fn go_on(parked: Parked, worker: &Rc<Worker>) -> io::Result<()> {
    let client = Client::of_parked(parked, worker)?;
    let guest = worker.guest();
    let alarms = Rc::clone(&worker.alarms);
    spawn_local(alarms.turns(async move {
        client.serve_http(guest.worker()).await;
        drop(guest);
    }));
    Ok(())
}

/// What tells that parked connections have something to say.
pub(crate) type Watch = AsyncFd<Rc<OwnedFd>>;

/// Attends to what `worker` has parked, for as long as it runs.
pub(crate) async fn attend(worker: Rc<Worker>, watch: Watch) {
    let ended = poll_fn(|cx| worker.parking.poll(cx, &watch, &worker)).await;
    tracing::debug!(error = %ended, "the runtime ends");
}

impl Parking {
    /// What [`attend`] needs, from within the runtime of the worker.
    ///
    /// # Errors
    ///
    /// The system does not let the runtime watch it.
    pub(crate) fn watch(&self) -> io::Result<Watch> {
        watch::readable(Rc::clone(&self.watch))
    }

    /// Ready only when nothing can be waited for any more.
    fn poll(&self, cx: &mut Context<'_>, watch: &Watch, worker: &Rc<Worker>) -> Poll<io::Error> {
        while self.alarm.poll(cx).is_ready() {
            self.close_due(worker.alarms.read());
        }
        if worker.closes_idle() && !self.is_empty() {
            self.close_all();
            worker.tell_if_empty();
        }
        while let Poll::Ready(told) = watch.poll_read_ready(cx) {
            let taken = told.and_then(|mut told| {
                let taken = self.take_up(worker)?;
                if taken < AT_ONCE {
                    told.clear_ready();
                }
                Ok(taken)
            });
            worker.tell_if_empty();
            match taken {
                Ok(AT_ONCE) => {
                    cx.waker().wake_by_ref();
                    break;
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
