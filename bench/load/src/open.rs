//! An open loop: requests are made when they are due, and their latency is counted from then on, so that what
//! is slow does not hide what came after it (coordinated omission).
//!
//! What stands behind the proxy is the same thread. As a process beside it on its core, each would wait for the
//! other for whole slices of the scheduler, and at some load that is all that is seen.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::answer::Answer;
use crate::origin::Origin;
use crate::schedule::Schedule;
use crate::{REQUEST, Result};

/// What is asked, how often.
#[derive(Debug)]
pub(crate) struct Load {
    /// Where the proxy is.
    pub(crate) address: SocketAddr,
    /// Where the proxy expects what it stands before.
    pub(crate) origin: SocketAddr,
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) seed: u64,
    /// Each carries one request at a time; what is due while all are busy waits for one, and that counts.
    pub(crate) connections: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// After the last request was due, so long is waited for answers.
const GRACE: Duration = Duration::from_secs(2);

/// What was seen of the requests that were due while it was measured. In nanoseconds, in order.
#[derive(Debug)]
pub(crate) struct Report {
    latencies: Vec<u64>,
    /// How late requests left for which a connection was free: what the load itself, or who shares its core, adds.
    lags: Vec<u64>,
    /// All requests, those of the warm-up too.
    requests: usize,
    /// How many answers came while it was measured, whenever their requests were due.
    answered: usize,
    /// Their latency is counted as what it was when nobody waited any more.
    unanswered: usize,
    measured: Duration,
}

struct Connection {
    stream: TcpStream,
    answer: Answer,
    /// When the request was due that is under way.
    due: Option<Duration>,
}

struct Run {
    begin: Instant,
    connections: Vec<Connection>,
    /// They take turns.
    free: VecDeque<usize>,
    /// When each request was due that has no connection.
    waiting: VecDeque<Duration>,
    warm_up: Duration,
    buffer: Box<[u8]>,
    report: Report,
}

impl Load {
    /// Makes the requests and waits for their answers.
    ///
    /// # Errors
    ///
    /// A connection failed, or an answer is not what is expected.
    pub(crate) fn run(&self) -> Result<Report> {
        // A wait may otherwise end 50 us late.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut origin = Origin::listen(self.origin, &poll, self.connections as u64)?;
        let connections = (0..self.connections).map(|n| {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(n as u64);
            epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
            Ok(Connection { stream, answer: Answer::default(), due: None })
        });
        let mut run = Run {
            connections: connections.collect::<Result<_>>()?,
            free: (0..self.connections).collect(),
            waiting: VecDeque::new(),
            warm_up: self.warm_up,
            buffer: vec![0; 64 * 1024].into(),
            report: Report {
                latencies: Vec::new(),
                lags: Vec::new(),
                requests: 0,
                answered: 0,
                unanswered: 0,
                measured: self.measured,
            },
            begin: Instant::now(),
        };
        let end = self.warm_up + self.measured;
        let mut schedule = Schedule::new(self.rate, self.seed).take_while(|due| *due < end);
        let mut next = schedule.next();
        let nothing = epoll::EventData::new_u64(0);
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: nothing }; 256];
        loop {
            while let Some(due) = next.filter(|due| *due <= run.begin.elapsed()) {
                run.make(due)?;
                next = schedule.next();
            }
            let now = run.begin.elapsed();
            let until = next.unwrap_or(end + GRACE);
            if next.is_none() && (run.is_idle() || now >= until) {
                break;
            }
            let wait = until.saturating_sub(now);
            let wait =
                Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
            let happened = match epoll::wait(&poll, &mut events, Some(&wait)) {
                // Who was stopped, and goes on.
                Err(rustix::io::Errno::INTR) => 0,
                other => other?,
            };
            for event in &events[..happened] {
                match event.data.u64() {
                    client if client < self.connections as u64 => run.read(client as usize)?,
                    other => origin.attend(other, &poll)?,
                }
            }
        }
        Ok(run.over())
    }
}

impl Run {
    /// Makes a request that is due, or has it wait for a connection.
    fn make(&mut self, due: Duration) -> Result<()> {
        self.report.requests += 1;
        match self.free.pop_front() {
            Some(connection) => {
                self.send(connection, due)?;
                let lag = self.begin.elapsed() - due;
                if due >= self.warm_up {
                    self.report.lags.push(lag.as_nanos() as u64);
                }
            }
            None => self.waiting.push_back(due),
        }
        Ok(())
    }

    fn send(&mut self, at: usize, due: Duration) -> Result<()> {
        let connection = &mut self.connections[at];
        connection.due = Some(due);
        // It always fits: at most one request is under way.
        connection.stream.write_all(REQUEST)?;
        Ok(())
    }

    /// Reads what has arrived on a connection. With the end of an answer it is free for the next request.
    fn read(&mut self, at: usize) -> Result<()> {
        let connection = &mut self.connections[at];
        let n = match connection.stream.read(&mut self.buffer) {
            Ok(0) => return Err("a connection was closed".into()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !connection.answer.take(&self.buffer[..n])? {
            return Ok(());
        }
        let due = connection.due.take().ok_or("an answer that nobody waits for")?;
        self.record(due);
        let now = self.begin.elapsed();
        if now >= self.warm_up && now < self.warm_up + self.report.measured {
            self.report.answered += 1;
        }
        match self.waiting.pop_front() {
            Some(due) => self.send(at, due)?,
            None => self.free.push_back(at),
        }
        Ok(())
    }

    fn record(&mut self, due: Duration) {
        if due >= self.warm_up {
            self.report.latencies.push((self.begin.elapsed() - due).as_nanos() as u64);
        }
    }

    fn is_idle(&self) -> bool {
        self.free.len() == self.connections.len()
    }

    fn over(mut self) -> Report {
        let unanswered: Vec<_> = self.connections.iter().filter_map(|one| one.due).collect();
        for due in unanswered.into_iter().chain(std::mem::take(&mut self.waiting)) {
            self.report.unanswered += 1;
            self.record(due);
        }
        self.report.latencies.sort_unstable();
        self.report.lags.sort_unstable();
        self.report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"{{"requests":{},"unanswered":{},"rate":{:.0},"p50":{:.1},"p99":{:.1},"p999":{:.1},"max":{:.1},"lag50":{:.1},"lag99":{:.1},"lagmax":{:.1}}}"#,
            self.requests,
            self.unanswered,
            self.answered as f64 / self.measured.as_secs_f64(),
            below(&self.latencies, 500),
            below(&self.latencies, 990),
            below(&self.latencies, 999),
            below(&self.latencies, 1000),
            below(&self.lags, 500),
            below(&self.lags, 990),
            below(&self.lags, 1000),
        )
    }
}

/// What so many of a thousand stay below, in microseconds.
fn below(sorted: &[u64], of_a_thousand: usize) -> f64 {
    let at = (sorted.len() * of_a_thousand / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Whether the load meets its own origin, or somebody who never answers.
    fn load(answers: bool) -> Report {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let load = Load {
            address: if answers { free } else { silent.local_addr().unwrap() },
            origin: free,
            rate: 1000.0,
            seed: 1,
            connections: 4,
            warm_up: Duration::ZERO,
            measured: Duration::from_millis(100),
        };
        load.run().unwrap()
    }

    #[test]
    fn every_request_that_was_due_has_a_latency() {
        let due = Schedule::new(1000.0, 1).take_while(|due| due.as_millis() < 100).count();
        let answered = load(true);
        assert_eq!((answered.requests, answered.latencies.len()), (due, due));
        assert_eq!(answered.unanswered, 0);
        // Who never answers hides none of them.
        let silent = load(false);
        assert_eq!((silent.latencies.len(), silent.unanswered), (due, due));
        assert!(silent.latencies[0] >= GRACE.as_nanos() as u64);
    }
}
