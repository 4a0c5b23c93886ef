//! A limit that finds itself: by how much longer calls take when many are in flight than when few are.

use std::time::Duration;

use crate::Time;

use super::Adaptive;

/// The gradient limit of Netflix (`Gradient2Limit`), with its two known weaknesses taken out: it adds to
/// the limit only while there is no sign of a queue, and what a call takes without a queue is measured
/// by a probe instead of an average that in an overload follows the overload.
///
/// Answers are looked at in rounds. With `mean` the time they took in a round, and `quiet` the same in
/// the last round in which few were in flight:
///
/// ```text
/// gradient = clamp(tolerance * quiet / mean, 0.5, 1)        0.5 if a call was dropped
/// headroom = gradient == 1 ? sqrt(limit) : 0
/// limit    = (1 - smoothing) * limit + smoothing * (limit * gradient + headroom)
/// ```
pub(super) struct Gradient {
    settings: Adaptive,
    ceiling: f64,
    /// How much of the limit is in use in a quiet round, at most.
    quiet_share: f64,
    /// Invariant: from `settings.min` to `ceiling`.
    limit: f64,
    /// What a call took in the last quiet round, in nanoseconds.
    quiet: Option<f64>,
    round: Round,
    probe: Probe,
}

/// How a call ended, as far as it tells how busy the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// It was answered, after so long.
    Took(Duration),
    /// The peer was overloaded, or it took too long.
    Dropped,
}

/// Samples that are judged together: one alone says little.
#[derive(Default)]
struct Round {
    samples: u32,
    answered: u32,
    /// What the answered ones took in all, in nanoseconds.
    took: f64,
    dropped: bool,
    /// The most calls in flight when one of them ended.
    peak: u32,
}

/// The measuring of what a call takes without a queue.
enum Probe {
    /// Not before this time.
    Due(Time),
    /// Under way; as soon as few calls are in flight, `since` tells from when.
    UnderWay { since: Option<Time> },
}

impl Gradient {
    /// `settings` are in range. Never above `ceiling`.
    pub(super) fn new(settings: &Adaptive, ceiling: u32) -> Self {
        let ceiling = f64::from(settings.max.min(ceiling));
        Self {
            ceiling,
            // At rest the limit is about `tolerance` times what the peer does at once; so much of it
            // fits beside each other without a queue.
            quiet_share: (0.75 / settings.tolerance).min(0.5),
            limit: f64::from(settings.initial).clamp(f64::from(settings.min), ceiling),
            quiet: None,
            round: Round::default(),
            probe: Probe::Due(Time::ZERO),
            settings: settings.clone(),
        }
    }

    /// How many calls may be in flight.
    pub(super) fn limit(&self) -> u32 {
        match self.probe {
            Probe::Due(_) => whole(self.limit),
            Probe::UnderWay { .. } => self.few(),
        }
    }

    /// A call ended at `now`, one of `in_flight`.
    pub(super) fn sample(&mut self, now: Time, sample: Sample, in_flight: u32) {
        if let Probe::UnderWay { since } = &mut self.probe {
            let few = whole(self.limit * self.quiet_share);
            if since.is_none() && in_flight <= few {
                *since = Some(now);
            }
            // What began in the crowd says nothing of the time without one.
            let began = match sample {
                Sample::Took(took) => Time::from_nanos(
                    now.as_nanos()
                        .saturating_sub(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
                ),
                Sample::Dropped => now,
            };
            if since.is_none_or(|since| began < since) {
                return;
            }
        }
        self.round.add(sample, in_flight);
        if self.round.samples >= LEAST_SAMPLES.max(whole(self.limit / 2.0)) {
            self.end_round(now);
        }
    }

    fn end_round(&mut self, now: Time) {
        let round = std::mem::take(&mut self.round);
        let mean = round.mean();
        if matches!(self.probe, Probe::UnderWay { .. }) || self.is_quiet(&round) {
            if let Some(mean) = mean {
                self.measured(mean, now);
            } else {
                self.probe = Probe::Due(now + self.settings.probe);
            }
            return;
        }
        if round.dropped || f64::from(round.peak) * 2.0 >= self.limit {
            self.adjust(self.gradient(&round));
        }
        if let Probe::Due(at) = self.probe
            && now >= at
        {
            self.probe = Probe::UnderWay { since: None };
        }
    }

    /// What a call takes without a queue was found to be `mean`.
    fn measured(&mut self, mean: f64, now: Time) {
        // A limit that was far too high has a queue even in a probe; the next one finds less of it.
        let closing_in = self.quiet.is_none_or(|quiet| mean < 0.9 * quiet);
        let wait = if closing_in { self.settings.probe / 10 } else { self.settings.probe };
        self.quiet = Some(mean);
        self.probe = Probe::Due(now + wait);
    }

    fn gradient(&self, round: &Round) -> f64 {
        match (round.mean(), self.quiet) {
            _ if round.dropped => LEAST_GRADIENT,
            (Some(mean), Some(quiet)) if mean > 0.0 => {
                (self.settings.tolerance * quiet / mean).clamp(LEAST_GRADIENT, 1.0)
            }
            _ => 1.0,
        }
    }

    fn adjust(&mut self, gradient: f64) {
        let headroom = if gradient < 1.0 { 0.0 } else { self.limit.sqrt() };
        let aim = self.limit * gradient + headroom;
        let limit = self.limit + self.settings.smoothing * (aim - self.limit);
        self.limit = limit.clamp(f64::from(self.settings.min), self.ceiling);
    }

    /// Whether so few were in flight that nobody can have queued for the others. Nothing was dropped.
    fn is_quiet(&self, round: &Round) -> bool {
        !round.dropped && round.peak <= self.few()
    }

    /// How many calls there are in flight in a probe: a share of the limit and not its floor, so that a
    /// probe neither starves a fast peer nor crowds a slow one.
    fn few(&self) -> u32 {
        whole(self.limit * self.quiet_share)
    }
}

impl Round {
    fn add(&mut self, sample: Sample, in_flight: u32) {
        self.samples += 1;
        self.peak = self.peak.max(in_flight);
        match sample {
            Sample::Took(took) => {
                self.answered += 1;
                self.took += took.as_secs_f64() * 1e9;
            }
            Sample::Dropped => self.dropped = true,
        }
    }

    /// What an answered call took, if any was answered.
    fn mean(&self) -> Option<f64> {
        (self.answered > 0).then(|| self.took / f64::from(self.answered))
    }
}

/// A limit of calls, at least one.
fn whole(limit: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "limits are positive and below 2^30"
    )]
    let whole = limit as u32;
    whole.max(1)
}

/// Fewer answers say too little.
const LEAST_SAMPLES: u32 = 20;

/// One round takes at most half of what the smoothing lets through.
const LEAST_GRADIENT: f64 = 0.5;

#[cfg(test)]
mod tests;
