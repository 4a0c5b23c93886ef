//! The servers of a scenario: a queue each, and what is served when.

use std::collections::VecDeque;
use std::time::Duration;

use locum_policy::{Clock as _, Time};

use crate::agenda::{Agenda, Item, Rank};
use crate::scenario::{self, Stall};
use crate::service::Law;
use crate::summary;

/// All servers, and the attempts that are with them.
pub(crate) struct Fleet<'a> {
    agenda: &'a Agenda,
    groups: Vec<Group>,
    servers: Vec<Server>,
    jobs: Vec<Job>,
    free: Vec<u32>,
    told: Told,
}

/// Servers that are alike.
struct Group {
    law: Law,
    concurrency: u32,
    failures: f64,
    stalls: Vec<Stall>,
    drop_expired: bool,
}

struct Server {
    group: usize,
    serving: u32,
    queue: VecDeque<u32>,
    /// Attempts that their callers still wait for.
    in_flight: u32,
}

/// An attempt that has reached its server.
struct Job {
    server: u32,
    /// Who waits for it.
    task: u32,
    came: Time,
    service: Duration,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Awaited,
    GivenUp,
    Served,
}

#[derive(Default)]
struct Told {
    served: u64,
    wasted: u64,
    dropped: u64,
    in_system: u128,
    in_service: u128,
}

/// What the agenda tells of a fleet: a service that ends, or (from here on) a group whose stall does.
const STALLS: u64 = 1 << 32;

impl<'a> Fleet<'a> {
    /// The servers of a scenario that was found in range.
    pub(crate) fn new(groups: &[scenario::Servers], agenda: &'a Agenda) -> Self {
        let mut servers = Vec::new();
        for (group, wanted) in groups.iter().enumerate() {
            for _ in 0..wanted.count {
                servers.push(Server { group, serving: 0, queue: VecDeque::new(), in_flight: 0 });
            }
            for stall in &wanted.stalls {
                let key = (stall.until(), Rank::End, agenda.begin());
                agenda.add(key, Item::Outside(STALLS + group as u64));
            }
        }
        let group = |wanted: &scenario::Servers| Group {
            law: wanted.service.law().expect("the scenario was found in range"),
            concurrency: wanted.concurrency,
            failures: wanted.failures,
            stalls: wanted.stalls.clone(),
            drop_expired: wanted.drop_expired,
        };
        let groups = groups.iter().map(group).collect();
        Self { agenda, groups, servers, jobs: Vec::new(), free: Vec::new(), told: Told::default() }
    }

    /// The probability that an attempt fails at `server`, and how long serving one takes there.
    pub(crate) fn draw(&self, server: u32, seed: u64) -> (f64, Duration) {
        let group = self.group(server);
        (group.failures, group.law.draw(seed))
    }

    /// An attempt of the task that is being polled comes to `server`; the number names it.
    pub(crate) fn come(&mut self, server: u32, service: Duration) -> u32 {
        let (task, came) = (self.agenda.polled(), self.agenda.now());
        let job = Job { server, task, came, service, state: State::Awaited };
        let number = match self.free.pop() {
            Some(number) => {
                self.jobs[number as usize] = job;
                number
            }
            None => {
                self.jobs.push(job);
                u32::try_from(self.jobs.len() - 1).expect("fewer than 2^32 attempts at once")
            }
        };
        let server_of = &mut self.servers[server as usize];
        server_of.in_flight += 1;
        server_of.queue.push_back(number);
        self.begin_next(server);
        number
    }

    /// Attempts at `server` that are waited for.
    pub(crate) fn in_flight(&self, server: u32) -> u32 {
        self.servers[server as usize].in_flight
    }

    /// Whether `job` has been served.
    pub(crate) fn is_served(&self, job: u32) -> bool {
        self.jobs[job as usize].state == State::Served
    }

    /// Nobody waits for `job` any more: it was served, or it is given up.
    pub(crate) fn leave(&mut self, number: u32) {
        let job = &mut self.jobs[number as usize];
        self.servers[job.server as usize].in_flight -= 1;
        match job.state {
            State::Served => self.free.push(number),
            _ => job.state = State::GivenUp,
        }
    }

    /// What the agenda had for the fleet happens; tells whose attempt ended with it.
    pub(crate) fn happens(&mut self, number: u64) -> Option<u32> {
        if let Some(group) = number.checked_sub(STALLS) {
            let stalled = |server: &u32| self.servers[*server as usize].group as u64 == group;
            let count = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
            let servers: Vec<_> = (0..count).filter(stalled).collect();
            servers.into_iter().for_each(|server| self.begin_next(server));
            return None;
        }
        self.end_service(u32::try_from(number).expect("below the number of stalls"))
    }

    fn end_service(&mut self, number: u32) -> Option<u32> {
        let job = &mut self.jobs[number as usize];
        let (server, task) = (job.server, job.task);
        self.told.served += 1;
        self.told.in_system += job.came.until(self.agenda.now()).as_nanos();
        self.told.in_service += job.service.as_nanos();
        let awaited = job.state == State::Awaited;
        job.state = State::Served;
        if !awaited {
            self.told.wasted += 1;
            self.free.push(number);
        }
        self.servers[server as usize].serving -= 1;
        self.begin_next(server);
        awaited.then_some(task)
    }

    /// Serves who waits, in order, as far as there is room.
    fn begin_next(&mut self, server: u32) {
        let (now, index) = (self.agenda.now(), server as usize);
        loop {
            let group = &self.groups[self.servers[index].group];
            let stalls = |stall: &Stall| stall.from() <= now && now < stall.until();
            if self.servers[index].serving >= group.concurrency || group.stalls.iter().any(stalls) {
                return;
            }
            let Some(number) = self.servers[index].queue.pop_front() else { return };
            let job = &self.jobs[number as usize];
            if group.drop_expired && job.state == State::GivenUp {
                self.told.dropped += 1;
                self.free.push(number);
                continue;
            }
            self.servers[index].serving += 1;
            let key = (now + job.service, Rank::End, self.agenda.begin());
            self.agenda.add(key, Item::Outside(u64::from(number)));
        }
    }

    fn group(&self, server: u32) -> &Group {
        &self.groups[self.servers[server as usize].group]
    }

    /// What the servers did until `end`.
    pub(crate) fn summary(&self, end: Time) -> summary::Servers {
        let Told { served, wasted, dropped, in_system, in_service } = self.told;
        let places: u64 = self
            .servers
            .iter()
            .map(|server| u64::from(self.groups[server.group].concurrency))
            .sum();
        let capacity = end.as_nanos() as f64 * places as f64;
        summary::Servers {
            served,
            mean_time_in_system: in_system as f64 / 1e6 / served.max(1) as f64,
            wasted,
            wasted_share: wasted as f64 / served.max(1) as f64,
            dropped,
            utilisation: in_service as f64 / capacity.max(1.0),
        }
    }
}
