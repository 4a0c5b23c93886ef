//! Which endpoint is taken, by each balance.

use std::sync::atomic::Ordering;

use super::draw::{Liking, Rank, afresh, drawn, two_of, words};
use super::{Ask, Balance, Balancer, Endpoints, Member, rendezvous};
use crate::seed::up_to;

impl Balancer {
    /// Where a pick goes, of several endpoints, which may change meanwhile.
    pub(super) fn choose<E: Endpoints>(
        &self,
        endpoints: &E,
        liking: &Liking<'_, E>,
        ask: &Ask<'_>,
    ) -> u32 {
        let key = ask.key.filter(|key| !key.is_empty());
        match (&self.balance, key) {
            (Balance::RoundRobin | Balance::Weighted, _) => self.next_in_round(liking, ask.random),
            (Balance::Hash(_), Some(key)) => self.highest(liking, key),
            (Balance::Random | Balance::Hash(_), _) => self.by_weight(liking, ask.random),
            (Balance::PeakEwma, _) => self.better_of_two(liking, ask.random, |index| {
                let member = self.member(index);
                member.latency.load(endpoints.in_flight(index), ask.now) / f64::from(member.weight)
            }),
            (Balance::Sticky(_), Some(key)) if let Some(bound) = self.marked(key, liking) => bound,
            (Balance::LeastRequest | Balance::Sticky(_), _) => {
                self.better_of_two(liking, ask.random, |index| {
                    let load = f64::from(endpoints.in_flight(index)) + 1.0;
                    load / f64::from(self.member(index).weight)
                })
            }
        }
    }

    /// Invariant: `index` is below the number of members.
    fn member(&self, index: u32) -> &Member {
        &self.members[index as usize]
    }

    pub(super) fn indices(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// The one whose turn it is; if there are better ones by `liking`, any of the best: left to the next in
    /// the round, that one would have twice its share.
    fn next_in_round(&self, liking: &Liking<'_, impl Endpoints>, random: u64) -> u32 {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let next = self.round[at % self.round.len()];
        match liking.of(next) {
            Rank::Fresh => next,
            _ if self.balance == Balance::RoundRobin => {
                let last = self.members.len() as u64 - 1;
                drawn(liking, random, |random| up_to(random, last) as u32)
                    .unwrap_or_else(|| self.any(liking, afresh(random), |_| 1))
            }
            _ => self.by_weight(liking, random),
        }
    }

    /// Any of the best by `liking`, as likely as their weights say.
    fn by_weight(&self, liking: &Liking<'_, impl Endpoints>, random: u64) -> u32 {
        let all = self.tickets.last().copied().unwrap_or(1);
        let holder = |random| {
            let ticket = up_to(random, all - 1);
            self.tickets.partition_point(|before| *before <= ticket) as u32
        };
        drawn(liking, random, holder).unwrap_or_else(|| {
            self.any(liking, afresh(random), |index| u64::from(self.member(index).weight))
        })
    }

    /// Any of the best by `liking`, as likely as `weight` says. Looks at all.
    fn any(
        &self,
        liking: &Liking<'_, impl Endpoints>,
        random: u64,
        weight: impl Fn(u32) -> u64,
    ) -> u32 {
        let best = self.best(liking);
        let candidates = || self.indices().filter(|index| liking.of(*index) == best);
        let total: u64 = candidates().map(&weight).sum();
        let mut ticket = up_to(random, total.saturating_sub(1));
        for index in candidates() {
            let weight = weight(index);
            if ticket < weight {
                return index;
            }
            ticket -= weight;
        }
        // Endpoints change while we look: then the first is as good as any.
        0
    }

    /// Of two of the best by `liking`, drawn at random, the one with the smaller `cost`: near the best
    /// of all, for two looks (Mitzenmacher, "The Power of Two Choices", 2001).
    fn better_of_two(
        &self,
        liking: &Liking<'_, impl Endpoints>,
        random: u64,
        cost: impl Fn(u32) -> f64,
    ) -> u32 {
        let count = self.members.len();
        let fresh = |both: &[u32; 2]| both.iter().all(|index| liking.of(*index) == Rank::Fresh);
        let mut pairs = words(random, count)
            .map(|random| two_of(count as u64, random).map(|place| place as u32));
        let [a, b] = pairs.find(fresh).unwrap_or_else(|| {
            let best = self.best(liking);
            let candidates = || self.indices().filter(|index| liking.of(*index) == best);
            let places = two_of(candidates().count() as u64, afresh(random));
            places.map(|place| candidates().nth(place as usize).unwrap_or(0))
        });
        if cost(a) <= cost(b) { a } else { b }
    }

    /// The endpoint whose score for `key` is the highest, among the best by `liking`.
    fn highest(&self, liking: &Liking<'_, impl Endpoints>, key: &[u8]) -> u32 {
        let key = rendezvous::hash(key);
        let of_rank = |rank| self.contest.winner(key, |index| liking.of(index) == rank);
        // Nearly always it is one that may be taken, and then none is asked whether it may.
        let first = self.contest.winner(key, |_| true);
        first
            .filter(|index| liking.of(*index) == Rank::Fresh)
            .or_else(|| of_rank(Rank::Fresh))
            .or_else(|| of_rank(self.best(liking)))
            .unwrap_or(0)
    }

    /// The endpoint that a cookie speaks of, if it is one that may be taken.
    fn marked(&self, value: &[u8], liking: &Liking<'_, impl Endpoints>) -> Option<u32> {
        let bound = self.marks.get(value).copied();
        bound.filter(|index| liking.of(*index) >= Rank::Spared)
    }

    fn best(&self, liking: &Liking<'_, impl Endpoints>) -> Rank {
        self.indices().map(|index| liking.of(index)).max().unwrap_or(Rank::Out)
    }
}
