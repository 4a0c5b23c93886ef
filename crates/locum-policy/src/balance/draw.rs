//! Which endpoints are liked best, and how one of these is drawn without a look at all.

use super::{Endpoints, Standing};
use crate::seed::{mix, up_to};

/// How much an endpoint is liked: those of a lower rank are taken only where there is none higher.
pub(super) struct Liking<'a, E> {
    pub(super) endpoints: &'a E,
    pub(super) tried: &'a [u32],
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Out,
    EjectedTried,
    Ejected,
    Tried,
    Spared,
    Fresh,
}

impl<E: Endpoints> Liking<'_, E> {
    pub(super) fn of(&self, index: u32) -> Rank {
        match (self.endpoints.standing(index), self.tried.contains(&index)) {
            (Standing::Out, _) => Rank::Out,
            (Standing::Ejected, true) => Rank::EjectedTried,
            (Standing::Ejected, false) => Rank::Ejected,
            (Standing::Spared | Standing::Usable, true) => Rank::Tried,
            (Standing::Spared, false) => Rank::Spared,
            (Standing::Usable, false) => Rank::Fresh,
        }
    }
}

/// The first of a few that `draw` draws which is of the best rank that there can be: as likely to be this one or that
/// as if it had been drawn among those, but without a look at all of them. `None`: then there are few, or none.
pub(super) fn drawn<E: Endpoints>(
    liking: &Liking<'_, E>,
    random: u64,
    draw: impl Fn(u64) -> u32,
) -> Option<u32> {
    words(random, liking.endpoints.len()).map(draw).find(|index| liking.of(*index) == Rank::Fresh)
}

/// Random words for draws of one of `count` before all of them are looked at.
pub(super) fn words(random: u64, count: usize) -> impl Iterator<Item = u64> {
    let draws = if count > DRAWS { DRAWS } else { 1 };
    std::iter::successors(Some(random), |random| Some(mix(*random, REDRAW))).take(draws)
}

/// A random word for a look at all: those that were drawn from before are no accident any more.
pub(super) fn afresh(random: u64) -> u64 {
    mix(random, AFRESH)
}

/// With a third of many endpoints out, one choice of a pair in 12,000 looks at all of them. A look at a few costs less.
const DRAWS: usize = 16;

/// Two different places of `count`, each pair as likely; of one, that one twice.
pub(super) fn two_of(count: u64, random: u64) -> [u64; 2] {
    if count < 2 {
        return [0, 0];
    }
    let first = up_to(random, count - 1);
    [first, (first + 1 + up_to(mix(random, SECOND), count - 2)) % count]
}

/// What the random words are for.
const SECOND: u64 = 0x7365_636f_6e64;
const REDRAW: u64 = 0x7265_6472_6177;
const AFRESH: u64 = 0x6166_7265_7368;
