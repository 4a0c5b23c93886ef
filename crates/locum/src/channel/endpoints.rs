//! The endpoints of a channel, and which of them takes the next attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use locum_policy::balance::{Ask, Balance, Balancer, Ejection, Standing};
use locum_policy::gates::breaker::{Per, Watch};
use locum_policy::{Policy, Time};

use super::dial::Address;
use super::link::{Link, LinkSettings};

/// One address, with its connections.
pub(super) struct Endpoint {
    /// The target of a breaker per endpoint.
    pub(super) name: String,
    address: Address,
    links: Vec<Arc<Link>>,
    next: AtomicUsize,
}

/// What is known of the endpoints, until a look-up finds others.
pub(super) struct Endpoints {
    list: Vec<Arc<Endpoint>>,
    balancer: Balancer,
    /// Breakers of the policy, where it has one for each endpoint.
    watches: Vec<Watch>,
}

/// What endpoints are made of.
pub(super) struct EndpointSettings {
    pub(super) balance: Balance,
    pub(super) connections: usize,
    pub(super) link: Arc<LinkSettings>,
    pub(super) policy: Option<Policy>,
    pub(super) seed: u64,
}

impl Endpoint {
    fn new(address: Address, settings: &EndpointSettings) -> Self {
        let name = address.to_string();
        let link = |number: usize| {
            let seed =
                name.bytes().fold(settings.seed.wrapping_add(number as u64), |seed, byte| {
                    locum_policy::seed::mix(seed, u64::from(byte))
                });
            Arc::new(Link::new(address.clone(), Arc::clone(&settings.link), seed))
        };
        let links = (0..settings.connections.max(1)).map(link).collect();
        Self { name, address, links, next: AtomicUsize::new(0) }
    }

    /// The connection that takes the next attempt: of those that are not failing the one with the fewest
    /// calls in flight, from where the round stands.
    pub(super) fn link(&self) -> &Arc<Link> {
        let count = self.links.len();
        if count == 1 {
            return &self.links[0];
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let in_round = (0..count).map(|step| &self.links[first.wrapping_add(step) % count]);
        let burden = |link: &&Arc<Link>| (link.is_failing(), link.in_flight());
        in_round.min_by_key(burden).unwrap_or(&self.links[0])
    }

    pub(super) fn links(&self) -> &[Arc<Link>] {
        &self.links
    }

    fn in_flight(&self) -> u32 {
        self.links.iter().map(|link| link.in_flight()).sum()
    }

    /// Whether no connection is to be had just now.
    fn is_failing(&self) -> bool {
        self.links.iter().all(|link| link.is_failing())
    }
}

impl Endpoints {
    /// Those at `addresses`. What `previous` has of them is kept, connections and all; what is not among
    /// them any more is closed once its calls are answered.
    pub(super) fn new(
        addresses: Vec<Address>,
        settings: &EndpointSettings,
        previous: Option<&Self>,
    ) -> Self {
        let known = previous.map_or(&[][..], |previous| &previous.list);
        let list: Vec<_> = addresses
            .into_iter()
            .map(|address| {
                let kept = known.iter().find(|endpoint| endpoint.address == address);
                kept.cloned().unwrap_or_else(|| Arc::new(Endpoint::new(address, settings)))
            })
            .collect();
        for endpoint in known {
            if !list.iter().any(|kept| Arc::ptr_eq(kept, endpoint)) {
                endpoint.links.iter().for_each(|link| link.close());
            }
        }
        let names: Vec<_> = list.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let balancer = Balancer::new(&settings.balance, &names, &vec![1; names.len()]);
        if let Some(previous) = previous {
            balancer.inherit(&previous.balancer);
        }
        let watch = |name: &&str| settings.policy.as_ref()?.watch(name, &[Per::Endpoint]);
        let watches = names.iter().filter_map(watch).collect();
        Self { list, balancer, watches }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.list.iter()
    }

    /// The addresses, in order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.list.iter().map(|endpoint| &endpoint.address)
    }

    pub(super) fn get(&self, index: u32) -> Option<&Arc<Endpoint>> {
        self.list.get(index as usize)
    }

    /// The place of the endpoint for the next attempt; `None`: there are none.
    pub(super) fn pick(&self, tried: &[u32], random: u64, now: Time) -> Option<u32> {
        if self.list.len() == 1 {
            return Some(0);
        }
        let view = View { endpoints: self, now, panics: self.panics(now) };
        self.balancer.pick(&view, &Ask { tried, key: None, random, now })
    }

    /// Whether so many breakers are open that all endpoints are used.
    pub(super) fn panics(&self, now: Time) -> bool {
        let ejected = self.watches.iter().filter(|watch| watch.is_ejected(now)).count();
        ejected > 0 && Ejection::default().panics(ejected, self.list.len())
    }

    /// Whether there is another than `index` that is not known to be failing.
    pub(super) fn has_other(&self, index: u32) -> bool {
        let other = |(place, endpoint): (usize, &Arc<Endpoint>)| {
            place != index as usize && !endpoint.is_failing()
        };
        self.list.len() > 1 && self.list.iter().enumerate().any(other)
    }

    pub(super) const fn balancer(&self) -> &Balancer {
        &self.balancer
    }
}

/// The endpoints at one moment.
struct View<'a> {
    endpoints: &'a Endpoints,
    now: Time,
    panics: bool,
}

impl locum_policy::balance::Endpoints for View<'_> {
    fn len(&self) -> usize {
        self.endpoints.list.len()
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.endpoints.get(index).map_or(0, |endpoint| endpoint.in_flight())
    }

    fn standing(&self, index: u32) -> Standing {
        let ejected = |watch: &Watch| !self.panics && watch.is_ejected(self.now);
        let left_out = self.endpoints.watches.get(index as usize).is_some_and(ejected)
            || self.endpoints.get(index).is_some_and(|endpoint| endpoint.is_failing());
        if left_out { Standing::Ejected } else { Standing::Usable }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use locum_wire::rpc::{Limits, Protocol};
    use tokio::sync::Notify;

    use super::super::backoff::Backoff;
    use super::super::connection::Settings;
    use super::super::dial::Dialer;
    use super::super::link::{NotReady, Patience};
    use super::*;

    fn settings() -> EndpointSettings {
        let dialer = Dialer {
            connector: None,
            tunnel: false,
            #[cfg(feature = "tls")]
            tls: None,
            connect_timeout: Duration::from_secs(1),
            tcp_keepalive: None,
        };
        let connection =
            Settings { protocol: Protocol::Native, cancel: true, max_in_flight: 1, max_message: 1 };
        let link = LinkSettings {
            dialer,
            connection,
            limits: Limits::default(),
            backoff: Backoff::default(),
            keepalive: None,
            lost: Arc::new(Notify::new()),
        };
        EndpointSettings {
            balance: Balance::RoundRobin,
            connections: 2,
            link: Arc::new(link),
            policy: None,
            seed: 7,
        }
    }

    fn named(names: &[&str]) -> Vec<Address> {
        names.iter().map(|name| Address::Named((*name).to_owned())).collect()
    }

    #[tokio::test]
    async fn after_a_look_up_what_is_still_there_keeps_its_connections() {
        let settings = settings();
        let old = Endpoints::new(named(&["a", "b"]), &settings, None);
        let new = Endpoints::new(named(&["c", "b"]), &settings, Some(&old));
        assert!(Arc::ptr_eq(&old.list[1], &new.list[1]));
        let gone = old.list[0].links[0].ready(Patience::Wait).await;
        assert!(matches!(gone, Err(NotReady::Closed)));
    }

    #[test]
    fn endpoints_take_turns_and_each_of_their_connections() {
        let settings = settings();
        let endpoints = Endpoints::new(named(&["a", "b"]), &settings, None);
        let picks: Vec<_> =
            (0..4).map(|random| endpoints.pick(&[], random, Time::ZERO).unwrap()).collect();
        assert_eq!(picks, [0, 1, 0, 1]);
        assert_eq!(endpoints.pick(&[0], 0, Time::ZERO), Some(1));
        let endpoint = &endpoints.list[0];
        assert!(!Arc::ptr_eq(endpoint.link(), endpoint.link()));
    }
}
