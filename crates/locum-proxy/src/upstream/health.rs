//! Whether an endpoint works, found out by asking it now and then.
//!
//! What the answers mean is decided here; the keeper asks.

use std::ops::RangeInclusive;
use std::time::Duration;

use locum_policy::Time;

/// How endpoints are asked, and what is made of their answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is asked.
    pub probe: Probe,
    /// From the start of one check to the next, give or take a tenth, so that not all ask at once; one that
    /// takes longer is followed by the next at once.
    pub every: Duration,
    /// How long a check may take, from the connection to the answer.
    pub timeout: Duration,
    /// So many good checks in a row make an endpoint that is down usable.
    pub healthy: u32,
    /// So many bad ones in a row take it down.
    pub unhealthy: u32,
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// `GET` of HTTP/1.1.
    Http {
        /// What is asked for.
        path: String,
        /// The `Host` of the request; `None`: the endpoint's name.
        host: Option<String>,
        /// Statuses of answers that are good.
        status: Vec<RangeInclusive<u16>>,
    },
    /// Whether a service of gRPC is served, as `grpc.health.v1.Health` says, over HTTP/2.
    Grpc {
        /// The service; empty: the server as a whole.
        service: String,
    },
    /// Whether a connection can be made; over TLS, whether the handshake succeeds.
    Tcp,
}

/// What checks of one endpoint have shown. It is thought to work until they say otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Whether it does not work.
    pub down: bool,
    /// Since when that is so; `None`: from the beginning.
    pub since: Option<Time>,
    /// How the last check ended, and when: if badly, why.
    pub last: Option<(Time, Result<(), String>)>,
    /// Checks that ended well, and badly.
    pub counts: [u64; 2],
    /// The last checks in a row that say otherwise than what it is thought to be.
    contrary: u32,
}

impl Health {
    /// Takes note of a check that ended at `now`. Tells whether the endpoint is thought to work from now
    /// on, if that has changed.
    pub(super) fn learn(
        &mut self,
        checked: Result<(), String>,
        settings: &Settings,
        now: Time,
    ) -> Option<bool> {
        let good = checked.is_ok();
        self.last = Some((now, checked));
        self.counts[usize::from(!good)] += 1;
        if good != self.down {
            self.contrary = 0;
            return None;
        }
        self.contrary = self.contrary.saturating_add(1);
        let enough = if self.down { settings.healthy } else { settings.unhealthy };
        if self.contrary < enough {
            return None;
        }
        *self = Self { down: !self.down, since: Some(now), contrary: 0, ..self.clone() };
        Some(good)
    }
}

impl Settings {
    /// When to check again after a check that began at `began`: `random` spreads it.
    pub(crate) fn next(&self, began: Time, random: u64) -> Time {
        let tenth = self.every / 10;
        let spread = tenth.mul_f64(2.0 * random as f64 / u64::MAX as f64);
        began + (self.every - tenth + spread)
    }

    /// When to check first, from `now`: endpoints that came together are not asked together.
    pub(crate) fn first(&self, now: Time, random: u64) -> Time {
        now + self.every.min(FIRST).mul_f64(random as f64 / u64::MAX as f64)
    }
}

/// However rarely an endpoint is checked, this soon it is first.
const FIRST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(healthy: u32, unhealthy: u32) -> Settings {
        let every = Duration::from_secs(2);
        Settings { probe: Probe::Tcp, every, timeout: every, healthy, unhealthy }
    }

    /// What each check of `checks` changes: `g`ood or `b`ad ones, one a second.
    fn changes(settings: &Settings, checks: &str) -> String {
        let mut health = Health::default();
        let change = |(second, check): (u64, char)| {
            let checked = if check == 'g' { Ok(()) } else { Err("no".to_owned()) };
            match health.learn(checked, settings, Time::from_millis(second * 1000)) {
                None => '.',
                Some(true) => 'U',
                Some(false) => 'D',
            }
        };
        (0..).zip(checks.chars()).map(change).collect()
    }

    #[test]
    fn only_checks_in_a_row_change_anything() {
        assert_eq!(changes(&settings(2, 3), "bbgbbgbbbb"), "........D.");
        assert_eq!(changes(&settings(2, 3), "bbbgbgbgg"), "..D.....U");
        assert_eq!(changes(&settings(1, 1), "bgbg"), "DUDU");
    }

    #[test]
    fn the_last_check_and_the_last_change_are_kept() {
        let mut health = Health::default();
        let at = |second: u64| Time::from_millis(second * 1000);
        assert_eq!(health.since, None);
        health.learn(Err("refused".into()), &settings(2, 1), at(1));
        health.learn(Ok(()), &settings(2, 1), at(2));
        assert!(health.down);
        assert_eq!((health.since, health.counts), (Some(at(1)), [1, 1]));
        assert_eq!(health.last, Some((at(2), Ok(()))));
    }

    #[test]
    fn checks_are_spread_by_a_tenth_either_way() {
        let settings = settings(1, 1);
        let from = Time::from_millis(10_000);
        assert_eq!(settings.next(from, 0), Time::from_millis(11_800));
        assert_eq!(settings.next(from, u64::MAX), Time::from_millis(12_200));
        assert_eq!(settings.first(from, 0), from);
        assert_eq!(settings.first(from, u64::MAX), Time::from_millis(11_000));
    }
}
