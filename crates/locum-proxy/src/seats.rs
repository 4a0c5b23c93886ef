//! Who makes the calls of one connection, and who of them has something to do.
//!
//! A seat holds a future that makes one call after another, and a waker that is its own: a call that takes a
//! seat which another has left allocates nothing for itself, and moves nothing about. Who is woken is put on
//! a list; the connection's task is woken by the first of them, and polls those alone.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

/// Futures that make calls, each in a seat. `J` is what there is to do.
pub(crate) struct Seats<'a, J, F> {
    desk: &'a Desk<J>,
    seats: Slab<Seat<F>>,
    /// Those of them that have nothing to do.
    free: Vec<usize>,
    bells: Arc<Bells>,
    /// Room for a list of those that rang.
    rang: Vec<usize>,
}

struct Seat<F> {
    future: Pin<Box<F>>,
    is_free: bool,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// Where a future finds what it has to do, one thing after another.
pub(crate) struct Desk<J> {
    job: Cell<Option<J>>,
    /// Whether somebody has asked in vain.
    idle: Cell<bool>,
}

impl<J> Desk<J> {
    pub(crate) fn new() -> Self {
        Self { job: Cell::new(None), idle: Cell::new(false) }
    }

    /// The next thing to do. Whoever waits here has nothing.
    pub(crate) async fn next(&self) -> J {
        poll_fn(|_| match self.job.take() {
            Some(job) => Poll::Ready(job),
            None => {
                self.idle.set(true);
                Poll::Pending
            }
        })
        .await
    }
}

impl<'a, J, F: Future<Output = Infallible>> Seats<'a, J, F> {
    /// For futures that are given their work at `desk`.
    pub(crate) fn new(desk: &'a Desk<J>) -> Self {
        Self { desk, seats: Slab::new(), free: Vec::new(), bells: Arc::default(), rang: Vec::new() }
    }

    /// How many have something to do.
    pub(crate) fn busy(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    /// Whether there is memory to [give back](Self::clear).
    pub(crate) fn are_spare(&self) -> bool {
        !self.free.is_empty()
    }

    /// Has `job` done by who has nothing to do, or by who is `new`. It is begun at once.
    pub(crate) fn give(&mut self, job: J, new: impl FnOnce() -> F) {
        let place = match self.free.pop() {
            Some(place) => {
                self.seats[place].is_free = false;
                place
            }
            None => {
                let entry = self.seats.vacant_entry();
                let place = entry.key();
                let (bells, rings) = (Arc::clone(&self.bells), AtomicBool::new(false));
                let bell = Arc::new(Bell { bells, place, rings });
                let waker = Waker::from(Arc::clone(&bell));
                entry.insert(Seat { future: Box::pin(new()), is_free: false, bell, waker });
                place
            }
        };
        self.desk.job.set(Some(job));
        self.turn(place);
    }

    /// Gives those who rang a turn, and after each does what comes in `between`. Who rings from now on wakes
    /// the task of `cx`.
    ///
    /// # Errors
    ///
    /// The one of `between`; the others had no turn, and are not to have one any more but by
    /// [`poll_all`](Self::poll_all).
    pub(crate) fn poll<E>(
        &mut self,
        cx: &mut Context<'_>,
        mut between: impl FnMut(&mut Context<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rang = std::mem::take(&mut self.rang);
        self.bells.swap(&mut rang);
        for place in rang.drain(..) {
            self.turn(place);
            between(cx)?;
        }
        self.rang = rang;
        if !self.bells.listen(cx) {
            // Others have theirs first.
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Gives everybody a turn who has something to do, whether or not they rang, and no other.
    pub(crate) fn poll_all(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        for (_, seat) in self.seats.iter_mut().filter(|(_, seat)| !seat.is_free) {
            let Poll::Pending = seat.future.as_mut().poll(cx);
        }
    }

    /// Gives back the memory of seats that have nothing to do.
    pub(crate) fn clear(&mut self) {
        for place in self.free.drain(..) {
            self.seats.remove(place);
        }
        self.free.shrink_to_fit();
        self.rang = Vec::new();
        self.seats.shrink_to_fit();
    }

    fn turn(&mut self, place: usize) {
        // A bell may be rung of a seat that is gone, or for a call that has ended.
        let Some(seat) = self.seats.get_mut(place) else { return };
        seat.bell.rings.store(false, Ordering::Release);
        if seat.is_free {
            return;
        }
        let Poll::Pending = seat.future.as_mut().poll(&mut Context::from_waker(&seat.waker));
        if self.desk.idle.take() {
            if self.free.len() < KEPT {
                seat.is_free = true;
                self.free.push(place);
            } else {
                self.seats.remove(place);
            }
        }
    }
}

/// What a future's waker rings.
struct Bell {
    bells: Arc<Bells>,
    place: usize,
    /// Whether it is on the list already.
    rings: AtomicBool,
}

/// Who rang since somebody looked.
#[derive(Default)]
struct Bells(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    places: Vec<usize>,
    /// Of the task that is to be woken by the next.
    task: Option<Waker>,
}

impl Bells {
    fn lock(&self) -> MutexGuard<'_, Rung> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the list for one that is empty.
    fn swap(&self, places: &mut Vec<usize>) {
        std::mem::swap(&mut self.lock().places, places);
    }

    /// The next to ring wakes the task of `cx`; false if somebody has already.
    fn listen(&self, cx: &Context<'_>) -> bool {
        let mut rung = self.lock();
        if !rung.places.is_empty() {
            return false;
        }
        match &mut rung.task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        true
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rings.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut rung = self.bells.lock();
        rung.places.push(self.place);
        let task = rung.task.take();
        drop(rung);
        task.into_iter().for_each(Waker::wake);
    }
}

/// Seats that are kept though nobody has them.
const KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Counts how often a task was woken.
    #[derive(Default)]
    struct Task(Mutex<usize>);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    /// What a future waits for.
    #[derive(Default)]
    struct Gate {
        open: Cell<bool>,
        polls: Cell<usize>,
        waker: RefCell<Option<Waker>>,
    }

    impl Gate {
        async fn pass(&self) {
            poll_fn(|cx| {
                self.polls.set(self.polls.get() + 1);
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                if self.open.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }

        fn ring(&self) {
            self.waker.borrow().as_ref().unwrap().wake_by_ref();
        }
    }

    fn poll<J>(seats: &mut Seats<'_, J, impl Future<Output = Infallible>>, cx: &mut Context<'_>) {
        let Ok(()) = seats.poll(cx, |_| Ok::<_, Infallible>(()));
    }

    type Gates<'a> = Desk<&'a Gate>;

    async fn pass_all(desk: &Gates<'_>) -> Infallible {
        loop {
            desk.next().await.pass().await;
        }
    }

    #[test]
    fn who_rings_has_a_turn_and_the_task_is_woken_once_for_all() {
        let (one, two) = (Gate::default(), Gate::default());
        let (task, desk) = (Arc::<Task>::default(), Desk::new());
        let mut seats = Seats::new(&desk);
        let waker = Waker::from(Arc::clone(&task));
        let cx = &mut Context::from_waker(&waker);
        seats.give(&one, || pass_all(&desk));
        seats.give(&two, || pass_all(&desk));
        poll(&mut seats, cx);
        assert_eq!((seats.busy(), one.polls.get(), two.polls.get()), (2, 1, 1));
        one.ring();
        one.ring();
        assert_eq!(*task.0.lock().unwrap(), 1);
        poll(&mut seats, cx);
        assert_eq!((one.polls.get(), two.polls.get()), (2, 1));
        two.open.set(true);
        one.ring();
        two.ring();
        assert_eq!(*task.0.lock().unwrap(), 2);
        poll(&mut seats, cx);
        assert_eq!((seats.busy(), one.polls.get(), two.polls.get()), (1, 3, 2));
    }

    #[test]
    fn a_seat_is_taken_again_and_who_has_nothing_to_do_is_left_alone() {
        let (one, two) = (Gate::default(), Gate::default());
        let desk = Desk::new();
        let mut seats = Seats::new(&desk);
        let cx = &mut Context::from_waker(Waker::noop());
        one.open.set(true);
        seats.give(&one, || pass_all(&desk));
        assert_eq!((seats.busy(), seats.seats.len()), (0, 1));
        one.ring();
        poll(&mut seats, cx);
        seats.poll_all();
        assert_eq!((seats.busy(), seats.free.len()), (0, 1));
        seats.give(&two, || unreachable!("there is one"));
        assert_eq!((seats.busy(), seats.seats.len()), (1, 1));
        // The seat's earlier call has left a waker somewhere.
        one.ring();
        poll(&mut seats, cx);
        seats.poll_all();
        assert_eq!((one.polls.get(), two.polls.get()), (1, 3));
    }

    #[test]
    fn what_has_nothing_to_do_is_given_back() {
        let (gate, desk) = (Gate::default(), Desk::new());
        let mut seats = Seats::new(&desk);
        let cx = &mut Context::from_waker(Waker::noop());
        (0..2 * KEPT).for_each(|_| seats.give(&gate, || pass_all(&desk)));
        gate.open.set(true);
        let wakers: Vec<_> = seats.seats.iter().map(|(_, seat)| seat.waker.clone()).collect();
        wakers.iter().for_each(Waker::wake_by_ref);
        poll(&mut seats, cx);
        assert_eq!((seats.busy(), seats.seats.len()), (0, KEPT));
        assert!(seats.are_spare());
        seats.clear();
        assert_eq!((seats.busy(), seats.seats.len()), (0, 0));
        assert!(!seats.are_spare());
        wakers.iter().for_each(Waker::wake_by_ref);
        poll(&mut seats, cx);
        seats.give(&gate, || pass_all(&desk));
        assert_eq!((seats.busy(), seats.seats.len()), (0, 1));
    }

    #[test]
    fn who_wakes_itself_leaves_others_their_turn() {
        let (task, desk) = (Arc::<Task>::default(), Desk::new());
        let mut seats = Seats::new(&desk);
        let waker = Waker::from(Arc::clone(&task));
        let polls = Cell::new(0);
        let busy = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        seats.give((), || busy);
        poll(&mut seats, &mut Context::from_waker(&waker));
        assert_eq!((polls.get(), *task.0.lock().unwrap()), (2, 1));
    }
}
