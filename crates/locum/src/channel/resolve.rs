//! Names of hosts, looked up again and again.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::dial::Address;
use super::pool::Pool;
use super::target::Place;

/// Looks up the hosts of a channel: when the first call needs them, then at an interval, and when a
/// connection was lost.
pub(super) struct Resolver {
    /// All endpoints as they are written, those that need no look-up too.
    pub(super) places: Vec<Place>,
    pub(super) interval: Duration,
    /// Told when a connection was lost.
    pub(super) lost: Arc<Notify>,
    /// Whether a task is looking.
    running: Arc<AtomicBool>,
}

/// When names that could not be looked up are looked up again.
const SOON: Duration = Duration::from_secs(3);

/// However many connections are lost, names are looked up no more often than that.
const AT_MOST: Duration = Duration::from_secs(1);

impl Resolver {
    pub(super) fn new(places: Vec<Place>, interval: Duration, lost: Arc<Notify>) -> Self {
        Self { places, interval: interval.max(AT_MOST), lost, running: Arc::default() }
    }

    /// Sees to it that the addresses of `pool` are looked up, for as long as it is there.
    pub(super) fn start(&self, pool: &Arc<Pool>) {
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Running(Arc::clone(&self.running));
        let (places, interval) = (self.places.clone(), self.interval);
        let lost = Arc::clone(&self.lost);
        tokio::spawn(keep_looking(Arc::downgrade(pool), places, interval, lost, running));
    }
}

async fn keep_looking(
    pool: Weak<Pool>,
    places: Vec<Place>,
    interval: Duration,
    lost: Arc<Notify>,
    _running: Running,
) {
    loop {
        let found = look_up_all(&places).await;
        let now = Instant::now();
        let interval = if found.is_ok() { interval } else { interval.min(SOON) };
        {
            let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else { return };
            match found {
                Ok(addresses) => pool.found(addresses),
                Err(why) => pool.not_found(why.into()),
            }
        }
        sleep_until(now + AT_MOST).await;
        // In vain is as good: then the interval is over.
        let _ = timeout_at(now + interval, lost.notified()).await;
    }
}

/// The addresses of all `places`, in order. Those of a name that cannot be looked up fail all: better
/// what was found before than a part.
async fn look_up_all(places: &[Place]) -> Result<Vec<Address>, String> {
    let mut all = Vec::new();
    for place in places {
        match place.fixed() {
            Some(address) => all.push(address),
            None => all.extend(look_up(place).await.map_err(|error| format!("{place}: {error}"))?),
        }
    }
    Ok(all)
}

async fn look_up(place: &Place) -> io::Result<Vec<Address>> {
    let Place::Tcp { host, port } = place else { return Ok(Vec::new()) };
    let found: Vec<_> = tokio::net::lookup_host((host.as_str(), *port)).await?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(pair(found, host))
}

/// Makes endpoints of the addresses of one host. It is the same hosts that have addresses of both
/// families, so an address of the family that comes second is another way to an endpoint of the first.
fn pair(found: Vec<SocketAddr>, host: &str) -> Vec<Address> {
    let prefers_v4 = found.first().is_some_and(SocketAddr::is_ipv4);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv4() == prefers_v4);
    // Servers rotate their answers; what has not changed is to look the same.
    first.sort_unstable();
    second.sort_unstable();
    first.dedup();
    second.dedup();
    let count = first.len().max(second.len());
    let of = |index: usize| {
        let ways = first.get(index).into_iter().chain(second.get(index));
        Address::Tcp { addresses: ways.copied().collect(), host: host.to_owned() }
    };
    (0..count).map(of).collect()
}

impl Place {
    /// The address, if it takes no look-up.
    pub(super) fn fixed(&self) -> Option<Address> {
        match self {
            Self::Unix(path) => Some(Address::Unix(path.clone())),
            Self::Tcp { host, port } => {
                let address = SocketAddr::new(host.parse().ok()?, *port);
                Some(Address::Tcp { addresses: vec![address], host: host.clone() })
            }
        }
    }
}

/// Dropped with the task, also by its runtime; then another may be started.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(addresses: &[&str]) -> Vec<Vec<String>> {
        let found = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let text = |address: Address| match address {
            Address::Tcp { addresses, .. } => addresses.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        };
        pair(found, "x").into_iter().map(text).collect()
    }

    #[test]
    fn both_families_of_one_host_are_one_endpoint() {
        assert_eq!(paired(&["[::1]:7", "127.0.0.1:7"]), [["[::1]:7", "127.0.0.1:7"]]);
        assert_eq!(paired(&["127.0.0.1:7", "[::1]:7"]), [["127.0.0.1:7", "[::1]:7"]]);
    }

    #[test]
    fn every_address_of_a_name_is_an_endpoint_whatever_their_order() {
        let found = [["10.0.0.1:7"], ["10.0.0.2:7"], ["10.0.0.3:7"]];
        assert_eq!(paired(&["10.0.0.3:7", "10.0.0.1:7", "10.0.0.2:7"]), found);
        assert_eq!(paired(&["10.0.0.2:7", "10.0.0.3:7", "10.0.0.1:7"]), found);
    }
}
