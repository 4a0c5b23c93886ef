//! Many clients at once, counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::client::Client;
use crate::http::Broken;

/// Clients that each send one request after the other on a kept connection, until so many were
/// sent, or they are told to stop.
#[derive(Debug)]
pub struct Load {
    address: SocketAddr,
    request: String,
    clients: usize,
    requests: u64,
    connections: Connections,
    stop: AtomicBool,
    sent: AtomicU64,
}

/// What became of the requests.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many were answered, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Why the others were not, with how often. Being cut in an answer is a failure; so is a
    /// refused connection.
    pub failures: BTreeMap<String, u64>,
    /// How often the peer closed a kept connection without having said `Connection: close`.
    /// The request that met it was sent again, as every client does.
    pub closed_idle: u64,
}

impl Report {
    /// How many requests were answered 200.
    pub fn ok(&self) -> u64 {
        self.statuses.get(&200).copied().unwrap_or(0)
    }

    /// How many got anything but a 200.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum::<u64>() + self.statuses.values().sum::<u64>() - self.ok()
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
        self.closed_idle += other.closed_idle;
    }
}

impl Load {
    /// Four clients that GET the target.
    pub fn get(address: SocketAddr, target: &str) -> Self {
        Self {
            address,
            request: format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            clients: 4,
            requests: u64::MAX,
            connections: Connections::Kept,
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        }
    }

    /// How many clients.
    pub fn clients(self, clients: usize) -> Self {
        Self { clients, ..self }
    }

    /// How many requests, all clients together.
    pub fn requests(self, requests: u64) -> Self {
        Self { requests, ..self }
    }

    /// A connection for every request.
    pub fn new_connections(self) -> Self {
        Self { connections: Connections::New, ..self }
    }

    /// One connection for each client, which ends with it: nobody comes again.
    pub fn one_connection_each(self) -> Self {
        Self { connections: Connections::One, ..self }
    }

    /// Runs to its end.
    pub fn run(&self) -> Report {
        let mut report = Report::default();
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..self.clients).map(|_| scope.spawn(|| self.client())).collect();
            for client in clients {
                report.add(client.join().expect("a client of the load does not panic"));
            }
        });
        report
    }

    /// Runs while the other thing happens, and stops after it.
    pub fn during<T>(&self, other: impl FnOnce() -> T) -> (Report, T) {
        thread::scope(|scope| {
            let load = scope.spawn(|| self.run());
            // The stop comes even if the other thing panics; else the scope would never end.
            let stop = StopOnDrop(&self.stop);
            let done = other();
            drop(stop);
            (load.join().expect("the load does not panic"), done)
        })
    }

    /// How many requests were begun so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn client(&self) -> Report {
        let mut report = Report::default();
        while self.goes_on() {
            self.connection(&mut report);
            if self.connections == Connections::One {
                break;
            }
        }
        report
    }

    /// Sends one request after the other over one connection, until it is over.
    fn connection(&self, report: &mut Report) {
        let mut client = match Client::try_connect(self.address) {
            Ok(client) => client,
            Err(error) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                *report.failures.entry(error.to_string()).or_default() += 1;
                return;
            }
        };
        let mut fresh = true;
        while self.goes_on() && self.sent.fetch_add(1, Ordering::Relaxed) < self.requests {
            match self.exchange(&mut client) {
                Ok((status, closes)) => {
                    *report.statuses.entry(status).or_default() += 1;
                    if closes || self.connections == Connections::New {
                        return;
                    }
                }
                Err(Broken::Closed) if !fresh => {
                    report.closed_idle += 1;
                    // It is sent again over the next connection.
                    self.sent.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                Err(broken) => {
                    *report.failures.entry(broken.to_string()).or_default() += 1;
                    return;
                }
            }
            fresh = false;
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && self.sent.load(Ordering::Relaxed) < self.requests
    }

    /// One request and the status of its answer, and whether the connection ends with it.
    fn exchange(&self, client: &mut Client) -> Result<(u16, bool), Broken> {
        client.reader().forget();
        client.send(&self.request);
        let response = client.response("GET")?;
        Ok((response.status, response.closes()))
    }
}

/// How many connections a client makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connections {
    /// One after the other, each kept as long as the peer keeps it.
    Kept,
    /// One a request.
    New,
    /// One.
    One,
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
