//! Endpoints that are found, not listed: what is looked up when, and what becomes of it.
//!
//! The keeper asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use locum_policy::Time;

use super::EndpointSettings;
use crate::dns::{Data, Kind};

pub use crate::dns::Resolver;

/// Where endpoints are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Under which name.
    pub name: Name,
    /// From one look-up to the next; sooner if what was found holds for less, and not under a second.
    pub every: Duration,
    /// Who is asked.
    pub resolver: Resolver,
}

/// A name that endpoints are found under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// Every address of this host is an endpoint, at this port.
    Host(String, u16),
    /// Every target of its SRV records with the lowest priority is one.
    Service(String),
}

/// How look-ups of an upstream went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Look-ups that found something, and that did not.
    pub counts: [u64; 2],
    /// Since when none has found anything, and why the last did not.
    pub failing: Option<(Time, String)>,
    /// When something was last found.
    pub found: Option<Time>,
    /// Look-ups in a row that found nothing.
    in_vain: u32,
}

/// The same, shared.
#[derive(Clone, Default)]
pub(crate) struct Discovery(Arc<Mutex<Status>>);

/// Endpoints, and how long they hold.
pub(crate) type Found = Result<(Vec<EndpointSettings>, Duration), String>;

/// Of more endpoints than that the rest is left out.
const MOST: usize = 256;
/// Weights of SRV records come to at most this: with them a round stays short.
const HEAVIEST: u32 = 100;
/// Names are looked up no more often, unless `every` says so.
const FLOOR: Duration = Duration::from_secs(1);
/// Nor less often, while nothing is found.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Discovery {
    pub(crate) fn status(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a look-up that ended at `now`. Tells how long to wait before the next.
    pub(crate) fn learn(&self, found: &Found, settings: &Settings, now: Time) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).learn(found, settings, now)
    }
}

impl Status {
    fn learn(&mut self, found: &Found, settings: &Settings, now: Time) -> Duration {
        let floor = FLOOR.min(settings.every);
        self.counts[usize::from(found.is_err())] += 1;
        match found {
            Ok((_, ttl)) => {
                (self.failing, self.found, self.in_vain) = (None, Some(now), 0);
                (*ttl).clamp(floor, settings.every)
            }
            Err(why) => {
                let since = self.failing.as_ref().map_or(now, |(since, _)| *since);
                self.failing = Some((since, why.clone()));
                let pause = floor * 2_u32.saturating_pow(self.in_vain.min(16));
                self.in_vain += 1;
                pause.min(LONGEST_PAUSE.max(settings.every))
            }
        }
    }
}

impl Settings {
    /// Looks the endpoints up, once.
    ///
    /// # Errors
    ///
    /// There are none, or nobody says; in words.
    pub(crate) async fn look_up(&self) -> Found {
        match &self.name {
            Name::Host(host, port) => {
                let (addresses, ttl) = self.resolver.addresses(host).await?;
                let endpoint = |address: &IpAddr| endpoint((*address, *port).into(), host, 1);
                Ok((whole(addresses.iter().map(endpoint).collect()), ttl))
            }
            Name::Service(name) => {
                let answer = self.resolver.look_up(name, Kind::Srv).await?;
                let mut ttl = answer.ttl;
                let mut endpoints = Vec::new();
                for (target, port, weight) in targets(answer.data) {
                    // RFC 2782: the service is decidedly not available.
                    if target.is_empty() || target == "." {
                        return Err(format!("`{name}` says that there is no such service"));
                    }
                    // It is a full name, whether it ends like one or not.
                    let full = format!("{}.", target.trim_end_matches('.'));
                    let (addresses, holds) = self.resolver.addresses(&full).await?;
                    ttl = ttl.min(holds);
                    endpoints.extend(
                        addresses
                            .iter()
                            .map(|address| endpoint((*address, port).into(), &target, weight)),
                    );
                }
                Ok((whole(endpoints), ttl))
            }
        }
    }
}

/// Targets, ports and weights of the SRV records that count: those with the lowest priority.
fn targets(data: Vec<Data>) -> Vec<(String, u16, u32)> {
    let mut records: Vec<_> = data
        .into_iter()
        .filter_map(|data| match data {
            Data::Srv { priority, weight, port, target } => Some((priority, weight, port, target)),
            Data::A(_) | Data::Aaaa(_) => None,
        })
        .collect();
    records.sort_unstable();
    records.dedup();
    let lowest = records.first().map(|(priority, ..)| *priority);
    records.retain(|(priority, ..)| Some(*priority) == lowest);
    records.truncate(MOST);
    let heaviest = records.iter().map(|(_, weight, ..)| u32::from(*weight)).max().unwrap_or(0);
    let scaled = |weight: u16| match heaviest {
        0..=HEAVIEST => u32::from(weight).max(1),
        _ => (u32::from(weight) * HEAVIEST / heaviest).max(1),
    };
    records.into_iter().map(|(_, weight, port, target)| (target, port, scaled(weight))).collect()
}

fn endpoint(address: SocketAddr, host: &str, weight: u32) -> EndpointSettings {
    let host = Some(host.trim_end_matches('.').to_owned());
    EndpointSettings { host, weight, ..EndpointSettings::new(&address.to_string(), address) }
}

/// In an order of their own: servers rotate their answers, and what has not changed is to look the same.
fn whole(mut endpoints: Vec<EndpointSettings>) -> Vec<EndpointSettings> {
    endpoints.sort_unstable_by(|one, other| one.address.cmp(&other.address));
    endpoints.dedup_by(|one, other| one.address == other.address);
    endpoints.truncate(MOST);
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, port: u16) -> Data {
        Data::Srv { priority, weight, port, target: format!("host-{port}") }
    }

    #[test]
    fn only_the_lowest_priority_counts_and_weights_stay_small() {
        let found = targets(vec![srv(2, 1, 1), srv(1, 0, 2), srv(1, 30, 3), srv(1, 30, 3)]);
        assert_eq!(found, [("host-2".to_owned(), 2, 1), ("host-3".to_owned(), 3, 30)]);
        let found = targets(vec![srv(1, 65535, 1), srv(1, 6553, 2), srv(1, 1, 3)]);
        assert_eq!(found.iter().map(|(.., weight)| *weight).collect::<Vec<_>>(), [1, 9, 100]);
        assert_eq!(targets((0..2000).map(|port| srv(1, 1, port)).collect()).len(), MOST);
    }

    #[test]
    fn an_answer_in_another_order_is_the_same_endpoints() {
        let of = |ports: &[u16]| {
            whole(
                ports.iter().map(|port| endpoint(([10, 0, 0, 1], *port).into(), "a", 1)).collect(),
            )
        };
        assert_eq!(of(&[2, 1, 3]), of(&[3, 1, 2, 2]));
    }

    #[test]
    fn names_are_looked_up_as_often_as_they_change_and_less_and_less_in_vain() {
        let resolver = Resolver { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        let every = Duration::from_secs(10);
        let settings = Settings { name: Name::Service("s".into()), every, resolver };
        let mut status = Status::default();
        let mut learn = |found: Result<u64, &str>, second: u64| {
            let found = found.map(|ttl| (Vec::new(), Duration::from_secs(ttl)));
            let found = found.map_err(str::to_owned);
            let pause = status.learn(&found, &settings, Time::from_millis(second * 1000));
            (
                pause.as_secs(),
                status.failing.clone().map(|(since, _)| since.as_nanos() / 1_000_000_000),
            )
        };
        assert_eq!(learn(Ok(0), 0), (1, None));
        assert_eq!(learn(Ok(7), 1), (7, None));
        assert_eq!(learn(Ok(3600), 8), (10, None));
        let pauses: Vec<_> = (0..7).map(|n| learn(Err("no"), 20 + n)).collect();
        assert_eq!(
            pauses.iter().map(|(pause, _)| *pause).collect::<Vec<_>>(),
            [1, 2, 4, 8, 16, 30, 30]
        );
        assert!(pauses.iter().all(|(_, since)| *since == Some(20)));
        assert_eq!(learn(Ok(60), 60), (10, None));
    }
}
