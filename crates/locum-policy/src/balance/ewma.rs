//! How long an endpoint takes to answer, as far as that can be told before it is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Time;

/// An average of the times that answers took, by which older ones count less and less, and which
/// goes up at once: an endpoint that has become slow is found out by its first slow answer, while
/// it has to show for a while that it is fast (Finagle's peak EWMA).
///
/// Time and value are packed into one word, so both change at once and without a lock.
#[derive(Debug, Default)]
pub(super) struct PeakEwma(AtomicU64);

/// The average as it was when an answer last changed it.
#[derive(Clone, Copy)]
struct State {
    /// In units of 2^20 ns, wrapping every 52 days.
    stamp: u32,
    /// In nanoseconds; 0: nothing was seen.
    value: f32,
}

impl PeakEwma {
    /// An answer took `took`.
    pub(super) fn observe(&self, took: Duration, now: Time) {
        self.change(now, |state, weight| {
            let took = nanos(took);
            let faded = state.value * weight;
            if took >= faded { took } else { faded + took * (1.0 - weight) }
        });
    }

    /// An answer would have taken no less than `took`.
    pub(super) fn at_least(&self, took: Duration, now: Time) {
        let took = nanos(took);
        if took > self.state().value_at(now) {
            self.change(now, |state, weight| took.max(state.value * weight));
        }
    }

    /// What one more attempt beside `in_flight` is expected to wait. One that was never asked is worth
    /// a look, but only one at a time: until it has answered it is the last to be taken.
    pub(super) fn load(&self, in_flight: u32, now: Time) -> f64 {
        let state = self.state();
        match state.value {
            0.0 if in_flight == 0 => 0.0,
            0.0 => UNKNOWN * f64::from(in_flight),
            _ => f64::from(state.value_at(now)) * (f64::from(in_flight) + 1.0),
        }
    }

    /// What an answer is expected to take, if one was seen.
    pub(super) fn expected(&self, now: Time) -> Option<Duration> {
        let state = self.state();
        (state.value > 0.0).then(|| Duration::from_nanos(state.value_at(now) as u64))
    }

    /// Takes over what another one knows.
    pub(super) fn set(&self, other: &Self) {
        self.0.store(other.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn state(&self) -> State {
        State::unpack(self.0.load(Ordering::Relaxed))
    }

    /// Changes the value to what `next` makes of the state and the weight that is left to it.
    fn change(&self, now: Time, next: impl Fn(State, f32) -> f32) {
        let change = |word: u64| {
            let state = State::unpack(word);
            let value = next(state, state.weight_at(now)).max(1.0);
            // Of several who come at once the latest sets the time.
            let late = ticks(now).wrapping_sub(state.stamp) <= u32::MAX / 2;
            let stamp = if late || state.value == 0.0 { ticks(now) } else { state.stamp };
            Some(State { stamp, value }.pack())
        };
        // Always Ok: there is always a next state.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

impl State {
    const fn unpack(word: u64) -> Self {
        Self { stamp: (word >> 32) as u32, value: f32::from_bits(word as u32) }
    }

    const fn pack(self) -> u64 {
        (self.stamp as u64) << 32 | self.value.to_bits() as u64
    }

    /// How much of the value is left at `now`.
    fn weight_at(self, now: Time) -> f32 {
        let elapsed = ticks(now).wrapping_sub(self.stamp);
        // The clocks of two workers are read one after the other: a little back is no time at all.
        if elapsed > u32::MAX / 2 { 1.0 } else { (-(elapsed as f32) / DECAY).exp() }
    }

    fn value_at(self, now: Time) -> f32 {
        self.value * self.weight_at(now)
    }
}

const fn ticks(now: Time) -> u32 {
    (now.as_nanos() >> 20) as u32
}

fn nanos(took: Duration) -> f32 {
    took.as_nanos() as f32
}

/// After 10 s a little over a third of what was seen still counts, in the units of the stamp.
const DECAY: f32 = 10e9 / (1 << 20) as f32;

/// Longer than any answer takes, in nanoseconds.
const UNKNOWN: f64 = 1e18;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn expected(ewma: &PeakEwma, at: u64) -> u128 {
        ewma.expected(Time::from_millis(at)).unwrap().as_millis()
    }

    #[test]
    fn it_goes_up_at_once_and_down_over_time() {
        let ewma = PeakEwma::default();
        assert_eq!(ewma.expected(Time::ZERO), None);
        ewma.observe(10 * MS, Time::ZERO);
        ewma.observe(100 * MS, Time::ZERO);
        assert_eq!(expected(&ewma, 0), 100, "a slow answer counts at once");
        ewma.observe(10 * MS, Time::from_millis(10_000));
        // 100/e + 10 (1 - 1/e) = 43.1
        assert_eq!(expected(&ewma, 10_000), 43);
        assert_eq!(expected(&ewma, 20_000), 15, "without answers it fades");
    }

    #[test]
    fn one_that_nobody_waited_for_is_no_faster_than_that() {
        let ewma = PeakEwma::default();
        ewma.observe(50 * MS, Time::ZERO);
        ewma.at_least(MS, Time::ZERO);
        assert_eq!(expected(&ewma, 0), 50);
        ewma.at_least(80 * MS, Time::ZERO);
        assert_eq!(expected(&ewma, 0), 80);
    }

    #[test]
    fn an_unknown_one_is_tried_once() {
        let (unknown, known) = (PeakEwma::default(), PeakEwma::default());
        known.observe(1000 * MS, Time::ZERO);
        assert!(unknown.load(0, Time::ZERO) < known.load(0, Time::ZERO));
        assert!(unknown.load(1, Time::ZERO) > known.load(100, Time::ZERO));
    }
}
