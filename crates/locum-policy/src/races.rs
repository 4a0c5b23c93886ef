//! What is shared without a lock, in every order in which threads can meet at it.
//!
//! `cargo test -p locum-policy --features loom --lib races`

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use crate::gates::breaker::{self, Breaker};
use crate::gates::concurrency::{Adaptive, Entry, Places, Sample, Settings, Status};
use crate::gates::throttle::{self, Throttles};
use crate::outcome::Heard;
use crate::tap::Tap;
use crate::{Call, Class, Time};

const NOW: Time = Time::from_millis(1);

fn enter(places: &Arc<Places>) -> Entry {
    let call = Call {
        method: "",
        arrived: NOW,
        deadline: None,
        idempotent: true,
        cost: 1,
        priority: 1,
        attempt_above: 1,
        keys: &(),
        seed: 7,
    };
    places.enter(&call, NOW)
}

fn places(settings: Settings) -> Arc<Places> {
    Arc::new(Places::build(&settings).expect("in range"))
}

/// Whoever came while the last place was given back has it, now that all is quiet.
fn has_a_place(entry: Entry) -> bool {
    match entry {
        Entry::Place => true,
        Entry::Turn(turn) => turn.redeem() == Status::Served,
        Entry::Full => false,
    }
}

#[test]
fn a_place_given_back_reaches_who_came_meanwhile() {
    loom::model(|| {
        let places = places(Settings { queue: 1, ..Settings::new(1) });
        assert!(matches!(enter(&places), Entry::Place));
        let leaving = Arc::clone(&places);
        let leaves = thread::spawn(move || leaving.give_back(Some(NOW)));
        let came = enter(&places);
        leaves.join().unwrap();
        assert!(has_a_place(came));
        assert_eq!(places.load(), (1, 0));
    });
}

#[test]
fn a_turn_given_up_while_it_comes_is_handed_on() {
    loom::model(|| {
        let places = places(Settings { queue: 2, ..Settings::new(1) });
        assert!(matches!(enter(&places), Entry::Place));
        let (gone, stays) = (enter(&places), enter(&places));
        let gives_up = thread::spawn(move || drop(gone));
        places.give_back(Some(NOW));
        gives_up.join().unwrap();
        assert!(has_a_place(stays));
        assert_eq!(places.load(), (1, 0));
    });
}

#[test]
fn two_who_leave_and_one_who_comes_agree() {
    loom::model(|| {
        let places = places(Settings { queue: 1, ..Settings::new(2) });
        let _ = (enter(&places), enter(&places));
        let leaves = [(); 2].map(|()| {
            let leaving = Arc::clone(&places);
            thread::spawn(move || leaving.give_back(None))
        });
        let came = enter(&places);
        for leaves in leaves {
            leaves.join().unwrap();
        }
        assert!(has_a_place(came));
        assert_eq!(places.load(), (1, 0));
    });
}

#[test]
fn a_limit_that_rises_reaches_who_came_meanwhile() {
    loom::model(|| {
        let adaptive = Adaptive { min: 2, initial: 2, smoothing: 1.0, ..Adaptive::default() };
        let places = places(Settings { adaptive: Some(adaptive), queue: 1, ..Settings::default() });
        let sample = Sample::Took(Duration::from_millis(1));
        assert!(matches!(enter(&places), Entry::Place));
        (0..20).for_each(|_| places.learn(sample, NOW));
        assert!(matches!(enter(&places), Entry::Place));
        (0..19).for_each(|_| places.learn(sample, NOW));
        assert_eq!(places.limit(), 2);
        let learning = Arc::clone(&places);
        let learns = thread::spawn(move || learning.learn(sample, NOW));
        let came = enter(&places);
        learns.join().unwrap();
        assert_eq!(places.limit(), 3);
        assert!(has_a_place(came));
        assert_eq!(places.load(), (3, 0));
    });
}

#[test]
fn a_tap_neither_loses_a_count_nor_takes_one_for_a_later_opening() {
    loom::model(|| {
        let tap = Arc::new(Tap::shut());
        tap.open(1, 0, 10);
        let adding = Arc::clone(&tap);
        let adds = thread::spawn(move || adding.add(Time::from_nanos(5), || true));
        let first = tap.close();
        // What ended at 5 does not belong into this stretch.
        tap.open(2, 10, 20);
        let added = adds.join().unwrap();
        assert_eq!((first, tap.close()), (u64::from(added), 0));
    });
}

#[test]
fn a_success_beside_a_trip_is_counted_before_it_or_stale() {
    loom::model(|| {
        let settings = breaker::Settings { consecutive: Some(1), ..breaker::Settings::default() };
        let numbers = Arc::new(settings.numbers(1).expect("in range"));
        let breaker = Arc::new(Breaker::new("up", &numbers, 1));
        let admit = || {
            let ask = || breaker.admit("p", &numbers, NOW, None, 1, &mut Vec::new());
            breaker.pass(&numbers, NOW).map_or_else(ask, Ok).expect("closed")
        };
        let (good, bad) = (admit(), admit());
        let settling = Arc::clone(&breaker);
        let settles =
            thread::spawn(move || settling.settle(good, Class::Success, NOW, &mut Vec::new()));
        let mut changes = Vec::new();
        assert!(!breaker.settle(bad, Class::Failure, NOW, &mut changes));
        let stale = settles.join().unwrap();
        assert_eq!(changes[0].calls, 1 + u64::from(!stale));
        assert!(breaker.pass(&numbers, NOW).is_none());
        assert!(breaker.admit("p", &numbers, NOW, None, 1, &mut Vec::new()).is_err());
    });
}

#[test]
fn a_throttle_counts_what_ends_at_once() {
    loom::model(|| {
        let throttles = Throttles::build(&throttle::Settings::default()).expect("in range");
        let throttle = throttles.get("up");
        let settles = [Heard::Accepted { worked: true }, Heard::Failed].map(|heard| {
            let throttle = Arc::clone(&throttle);
            thread::spawn(move || throttle.settle(heard, NOW))
        });
        for settles in settles {
            settles.join().unwrap();
        }
        let stands = &throttles.snapshot(NOW)[0];
        assert_eq!((stands.requests, stands.accepts), (2, 1));
    });
}
