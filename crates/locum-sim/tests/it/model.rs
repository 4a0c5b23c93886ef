//! The order of things, held against a model that goes through every instant and keeps everything.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::setup::{Trace, having, play, policy};

#[derive(Clone, Debug)]
struct Call {
    at: u64,
    /// `None`: it hangs.
    took: Option<u64>,
    cancel_at: Option<u64>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    Coming,
    Waiting,
    /// It was given a place, and has not gone on yet.
    Called,
    /// The number of its beginning, and its end.
    Running(u64, Option<u64>),
    Over,
}

struct Model {
    calls: Vec<Call>,
    stands: Vec<Stands>,
    /// The number at which each arrived.
    came: Vec<u64>,
    numbers: u64,
    max: usize,
    queue: usize,
    done: Vec<(u64, usize, &'static str)>,
}

impl Model {
    fn play(calls: &[Call], max: usize, queue: usize) -> Vec<(u64, usize, &'static str)> {
        let mut model = Self {
            calls: calls.to_vec(),
            stands: vec![Stands::Coming; calls.len()],
            came: vec![0; calls.len()],
            numbers: 0,
            max,
            queue,
            done: Vec::new(),
        };
        let arrivals = calls.iter().flat_map(|call| [Some(call.at), call.cancel_at]).flatten();
        let mut instants: BTreeSet<u64> = arrivals.collect();
        let mut last = 0;
        while let Some(now) = instants.pop_first() {
            let before = model.done.len();
            model.settle(now);
            for (id, call) in calls.iter().enumerate() {
                if call.at == now && model.stands[id] == Stands::Coming {
                    last = now;
                    model.arrive(id, now);
                    model.settle(now);
                }
            }
            if model.done.len() > before {
                last = now;
            }
            let ends = model.stands.iter().filter_map(|stands| match stands {
                Stands::Running(_, end) => *end,
                _ => None,
            });
            instants.extend(ends);
        }
        let left = (0..calls.len()).filter(|id| model.stands[*id] != Stands::Over);
        let left: Vec<_> = left.map(|id| (last, id, "unfinished")).collect();
        model.done.extend(left);
        model.done
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn count(&self, what: impl Fn(&Stands) -> bool) -> usize {
        self.stands.iter().filter(|stands| what(stands)).count()
    }

    fn free(&self) -> usize {
        let taken = self.count(|stands| matches!(stands, Stands::Called | Stands::Running(..)));
        self.max - taken
    }

    fn arrive(&mut self, id: usize, now: u64) {
        self.came[id] = self.number();
        let waiting = self.count(|stands| *stands == Stands::Waiting);
        if self.free() > 0 && waiting == 0 {
            self.begin(id, now);
        } else if waiting < self.queue {
            self.stands[id] = Stands::Waiting;
        } else {
            self.end(id, now, "rejected");
        }
    }

    fn begin(&mut self, id: usize, now: u64) {
        let number = self.number();
        self.stands[id] = Stands::Running(number, self.calls[id].took.map(|took| now + took));
        if self.calls[id].took == Some(0) {
            self.end(id, now, "success");
        }
    }

    fn end(&mut self, id: usize, now: u64, outcome: &'static str) {
        self.stands[id] = Stands::Over;
        self.done.push((now, id, outcome));
        if self.free() > 0
            && let Some(next) = self.stands.iter().position(|stands| *stands == Stands::Waiting)
        {
            self.stands[next] = Stands::Called;
        }
    }

    /// Everything at `now` but arrivals.
    fn settle(&mut self, now: u64) {
        loop {
            let all = 0..self.calls.len();
            let answered = |id: &usize| match self.stands[*id] {
                Stands::Running(number, end) if end == Some(now) => Some(number),
                _ => None,
            };
            let given_up = |id: &usize| {
                let under_way = !matches!(self.stands[*id], Stands::Coming | Stands::Over);
                (under_way && self.calls[*id].cancel_at == Some(now)).then_some(self.came[*id])
            };
            let ends = all.clone().flat_map(|id| [answered(&id), given_up(&id)].map(|at| (at, id)));
            let first = ends.filter_map(|(number, id)| Some((number?, id))).min();
            if let Some((_, id)) = first {
                let outcome = if answered(&id).is_some() { "success" } else { "cancelled" };
                self.end(id, now, outcome);
            } else if let Some(id) = all.clone().find(|id| self.stands[*id] == Stands::Called) {
                self.begin(id, now);
            } else {
                return;
            }
        }
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let took = prop_oneof![1 => Just(None), 12 => (0_u64..6).prop_map(Some)];
    let call = (0_u64..3, took, prop::option::weighted(0.3, 0_u64..8));
    prop::collection::vec(call, 0..40).prop_map(|calls| {
        let mut at = 0;
        let mut place = |(later, took, patience): (u64, _, Option<u64>)| {
            at += later;
            Call { at, took, cancel_at: patience.map(|patience| at + patience) }
        };
        calls.into_iter().map(&mut place).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn things_happen_in_the_order_of_the_model(
        calls in calls(),
        max in 1_usize..4,
        queue in 0_usize..4,
    ) {
        let mut trace = Trace::default();
        for Call { at, took, cancel_at } in &calls {
            let cancel_at = cancel_at.map_or_else(|| "null".to_owned(), |at| at.to_string());
            let meets = took.map_or_else(
                || r#""outcome":"hang""#.to_owned(),
                |took| format!(r#""took":{took}"#),
            );
            let rest = format!(r#""cancel_at":{cancel_at},"attempts":[{{{meets}}}]"#);
            trace.call(*at as f64, &rest);
        }
        let (log, summary) =
            play(&policy(&format!("concurrency = {{ max = {max}, queue = {queue} }}")), &trace);
        let done = having(&log, &["\"done\""]).into_iter().map(|line| {
            let parts: Vec<_> = line.split([':', ',']).collect();
            let (at, id) = (parts[1].parse().unwrap(), parts[3].parse().unwrap());
            (at, id, parts[7].trim_matches('"').to_owned())
        });
        let model = Model::play(&calls, max, queue).into_iter();
        let model: Vec<_> = model.map(|(at, id, outcome)| (at, id, outcome.to_owned())).collect();
        prop_assert_eq!(done.collect::<Vec<_>>(), model);
        prop_assert_eq!(summary.calls, calls.len() as u64);
    }
}
