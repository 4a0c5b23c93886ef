//! One attempt to connect to an endpoint.

use std::cell::Cell;

use locum_policy::balance::{Ask, Balance, Seen};
use locum_policy::seed::of_pick;
use locum_policy::{Attempt, Cause, Ended, Endpoint, Keys as _, Time, run};
use locum_wire::proxy_protocol::Header;

use super::ConnectionKeys;
use crate::attempt::{Tally, UnderWay};
use crate::record::Record;
use crate::route::Choice;
use crate::upstream::InFlight;
use crate::upstream::pool::{self, ConnectError, Connection};
use crate::worker::Worker;

/// Everything that the attempts of one connection share.
pub(super) struct Exchange<'a> {
    pub(super) choice: &'a Choice,
    pub(super) whose: &'a Header,
    pub(super) worker: &'a Worker,
    pub(super) keys: &'a ConnectionKeys<'a>,
    pub(super) record: &'a Record,
    /// Of the call.
    pub(super) seed: u64,
    /// How often an endpoint was chosen.
    pub(super) picks: Cell<u64>,
    /// Attempts that have neither connected nor failed.
    pub(super) under_way: Cell<u32>,
}

/// A connection that was made.
pub(super) struct Joined {
    pub(super) connection: Box<Connection>,
    pub(super) _in_flight: InFlight,
}

impl run::Exchange for Exchange<'_> {
    type Reply = Result<Joined, ConnectError>;

    fn pick(&self, tried: &[u32], now: Time) -> Option<Endpoint<'_>> {
        let Choice { upstream, watches, .. } = self.choice;
        let key = match &upstream.settings.balance {
            Balance::Hash(key) => self.keys.key(key),
            _ => None,
        };
        let random = of_pick(self.seed, self.picks.replace(self.picks.get() + 1));
        let id = upstream.pick(watches, &Ask { tried, key, random, now })?;
        let name = &upstream.endpoints[id as usize].name;
        Some(Endpoint { id, name, policy: upstream.guard(id) })
    }

    fn panics(&self, now: Time) -> bool {
        self.choice.upstream.panics(&self.choice.watches, now)
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<Self::Reply> {
        let upstream = &self.choice.upstream;
        self.record.attempt_begins(attempt, upstream);
        let tally = Tally { under_way: &self.under_way, record: self.record, worker: self.worker };
        let under_way = UnderWay::begin(tally, upstream, attempt);
        let endpoint = &upstream.endpoints[attempt.endpoint.id as usize];
        let in_flight = endpoint.begin();
        let timeout = upstream.settings.pool.connect_timeout;
        let Worker { buffers, alarms, .. } = self.worker;
        let connected = pool::connect(endpoint, self.whose, timeout, buffers, alarms).await;
        under_way.end();
        let reply = connected.map(|connection| Joined { connection, _in_flight: in_flight });
        let cause = match &reply {
            Ok(_) => Cause::Reply,
            Err(ConnectError::Failed(_) | ConnectError::Handshake(_)) => Cause::Connect,
            Err(ConnectError::TimedOut) => Cause::ConnectTimeout,
        };
        let now = self.worker.now();
        self.record.attempt_ends(attempt.number, cause, now);
        let took = attempt.started.until(now);
        upstream.observe(attempt.endpoint.id, took, Seen::of(cause), now);
        Ended { cause, retry_after: None, reply }
    }

    /// There is no status that a connection could be ended with: it is not made.
    fn abort(&self, attempt: &Attempt<'_>, _: u16) -> Ended<Self::Reply> {
        self.record.attempt_begins(attempt, &self.choice.upstream);
        self.record.attempt_ends(attempt.number, Cause::Connect, self.worker.now());
        let refused = std::io::ErrorKind::ConnectionRefused.into();
        let reply = Err(ConnectError::Failed(refused));
        Ended { cause: Cause::Connect, retry_after: None, reply }
    }
}
