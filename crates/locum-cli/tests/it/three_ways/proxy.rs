//! The proxy over real sockets, by a clock that is moved by hand.
//!
//! Sockets and threads take real time, decisions take none: before the clock is moved, every call
//! that was touched has come to rest, which its lines in the decision log tell. It rests at the
//! upstream, in a wait, or at its end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use locum_policy::{Settings, Time};
use locum_proxy::upstream::EndpointSettings;
use locum_proxy::{ClockSource, Hand, LogTarget, Options, Proxy, listener, plan, route, upstream};
use locum_sim::trace::{Line, Meets, Outcome};
use locum_testkit::{Client, Connection, Upstream, eventually};
use serde_json::Value;

use super::library::meets;
use super::{POLICY, SEED, UPSTREAM};

/// The decision log of `lines` under a policy of `settings`.
pub(super) fn log(settings: &Settings, lines: &[Line]) -> String {
    let mut driver = Driver::start(settings);
    for line in lines {
        driver.until(line.at);
        driver.arrive(line);
    }
    driver.until(Time::NEVER);
    driver.journal.read();
    driver.journal.text.clone()
}

/// Lets everything happen in its order.
struct Driver<'a> {
    settings: &'a Settings,
    hand: Arc<Hand>,
    address: SocketAddr,
    desk: Arc<Desk>,
    journal: Journal,
    /// Calls that are not over, by number.
    calls: BTreeMap<u64, InFlight<'a>>,
    arrived: u64,
    _upstream: Upstream,
    _proxy: Proxy,
    _directory: tempfile::TempDir,
}

struct InFlight<'a> {
    line: &'a Line,
    /// `None`: it has gone.
    client: Option<Client>,
    rest: Rest,
}

/// Where a call rests.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// Its attempt is at the upstream, which answers at a time, or is given up at another.
    Attempt { number: u32, answer: Time, cut: Time },
    /// It waits until about then: the log rounds.
    Wait(Time),
}

/// What happens next, and when; at one instant in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// The upstream answers the call of that number.
    Answer(u64),
    /// The client of that call goes away.
    Leave(u64),
    /// An alarm goes off in the proxy.
    Alarm,
}

impl<'a> Driver<'a> {
    fn start(settings: &'a Settings) -> Self {
        let desk = Arc::new(Desk::default());
        let upstream = Upstream::start({
            let desk = Arc::clone(&desk);
            move |peer| desk.serve(peer)
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("decisions.jsonl");
        let hand = Hand::new();
        let options = Options {
            workers: 1,
            decisions: Some(LogTarget::File(path.clone())),
            clock: ClockSource::Hand(Arc::clone(&hand)),
            ..Options::default()
        };
        let proxy = Proxy::start(plan(settings, upstream.address()), options).unwrap();
        let listener::Bind::Tcp(address) = proxy.bound()["web"] else { panic!("it is TCP") };
        Self {
            settings,
            hand,
            address,
            desk,
            journal: Journal { path, text: String::new(), read: 0, rests: HashMap::new() },
            calls: BTreeMap::new(),
            arrived: 0,
            _upstream: upstream,
            _proxy: proxy,
            _directory: directory,
        }
    }

    /// Lets happen what happens before or at `end`; of the last, `Time::NEVER`, until all calls are over.
    fn until(&mut self, end: Time) {
        while let Some((at, next)) = self.next().filter(|(at, _)| *at <= end) {
            if end == Time::NEVER && self.calls.is_empty() {
                return;
            }
            self.hand.move_to(at);
            match next {
                Next::Answer(id) => {
                    let InFlight { line, rest, .. } = &self.calls[&id];
                    let Rest::Attempt { number, .. } = *rest else { unreachable!("it was there") };
                    self.desk.answer((id, number), meets(line, number));
                    self.settle(id);
                }
                Next::Leave(id) => {
                    self.calls.get_mut(&id).expect("it is not over").client = None;
                    self.settle(id);
                }
                Next::Alarm => {
                    eventually("the alarm has gone off", || self.hand.next() > at);
                    let due = |call: &InFlight<'_>| match call.rest {
                        Rest::Attempt { cut, .. } => cut == at,
                        Rest::Wait(until) => is_about(until, at),
                    };
                    let due: Vec<_> = self
                        .calls
                        .iter()
                        .filter(|(_, call)| due(call))
                        .map(|(id, _)| *id)
                        .collect();
                    due.into_iter().for_each(|id| self.settle(id));
                }
            }
        }
        if end != Time::NEVER {
            self.hand.move_to(end);
        }
    }

    fn next(&self) -> Option<(Time, Next)> {
        let calls = self.calls.iter().flat_map(|(id, call)| {
            let answer = match call.rest {
                Rest::Attempt { answer, .. } if answer != Time::NEVER => {
                    Some((answer, Next::Answer(*id)))
                }
                _ => None,
            };
            [answer, call.line.cancel_at.map(|at| (at, Next::Leave(*id)))].into_iter().flatten()
        });
        let alarm = (self.hand.next(), Next::Alarm);
        calls.chain([alarm].into_iter().filter(|(at, _)| *at > self.hand.now())).min()
    }

    fn arrive(&mut self, line: &'a Line) {
        let id = self.arrived;
        self.arrived += 1;
        let mut client = Client::connect(self.address);
        let method = if line.idempotent { "GET" } else { "POST" };
        let deadline =
            line.deadline.map(|time| format!("X-Request-Timeout-Ms: {}\r\n", time.as_millis()));
        let key = line.key.as_ref().map(|key| format!("X-Key: {key}\r\n"));
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nX-Id: {id}\r\n{}{}\r\n",
            deadline.unwrap_or_default(),
            key.unwrap_or_default(),
        ));
        let rest = Rest::Wait(Time::NEVER);
        self.calls.insert(id, InFlight { line, client: Some(client), rest });
        self.settle(id);
    }

    /// Waits until the call rests again, and everything that will move it on is set up.
    fn settle(&mut self, id: u64) {
        let rest = self.journal.next_rest(id);
        let now = self.hand.now();
        let Some(call) = self.calls.get_mut(&id) else { panic!("{id} is over already") };
        call.rest = match rest {
            Logged::Done => {
                let call = self.calls.remove(&id).expect("it was found above");
                call.read_answer();
                return;
            }
            Logged::Delayed(wait) => Rest::Wait(now + wait),
            Logged::Attempt(number) => {
                self.desk.wait_for((id, number));
                let Meets { took, outcome, .. } = meets(call.line, number);
                let answer = now + took.unwrap_or_default();
                let answer = if outcome == Outcome::Hang { Time::NEVER } else { answer };
                Rest::Attempt { number, answer, cut: cut(self.settings, call.line, now) }
            }
        };
        let alarm = match call.rest {
            Rest::Attempt { cut, .. } => cut,
            Rest::Wait(until) => until + ROUNDING,
        };
        eventually("the proxy has set its alarm", || self.hand.next() <= alarm);
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl InFlight<'_> {
    /// A client that has not gone is told something.
    fn read_answer(self) {
        let method = if self.line.idempotent { "GET" } else { "POST" };
        if let Some(mut client) = self.client {
            client.response(method).unwrap();
        }
    }
}

/// When an attempt that begins now is given up.
fn cut(settings: &Settings, line: &Line, now: Time) -> Time {
    let own = settings.attempt_timeout.map(|time| now + time);
    let timeouts = [settings.timeout, line.deadline].into_iter().flatten().min();
    let call = timeouts.map(|time| line.at + time.saturating_sub(settings.reserve));
    own.into_iter().chain(call).min().unwrap_or(Time::NEVER)
}

/// The log is exact to the microsecond.
const ROUNDING: Duration = Duration::from_micros(1);

fn is_about(one: Time, other: Time) -> bool {
    one <= other + ROUNDING && other <= one + ROUNDING
}

/// The decision log, as it grows.
struct Journal {
    path: PathBuf,
    text: String,
    /// How much of the text was understood.
    read: usize,
    /// Where each call came to rest last, not yet taken.
    rests: HashMap<u64, Logged>,
}

/// A line at which a call rests.
#[derive(Clone, Copy)]
enum Logged {
    Attempt(u32),
    Delayed(Duration),
    Done,
}

impl Journal {
    /// Waits until the call comes to rest.
    fn next_rest(&mut self, id: u64) -> Logged {
        let mut rest = None;
        eventually("the call comes to rest", || {
            self.read();
            rest = self.rests.remove(&id);
            rest.is_some()
        });
        rest.expect("it was waited for")
    }

    fn read(&mut self) {
        self.text = fs::read_to_string(&self.path).unwrap_or_default();
        while let Some(length) = self.text[self.read..].find('\n') {
            let line = &self.text[self.read..self.read + length];
            self.read += length + 1;
            let line: Value = serde_json::from_str(line).unwrap();
            let rest = match line["event"].as_str() {
                Some("attempt") => Logged::Attempt(line["n"].as_u64().unwrap() as u32),
                Some("delayed") => {
                    Logged::Delayed(Duration::from_secs_f64(line["wait"].as_f64().unwrap() / 1e3))
                }
                Some("done") => Logged::Done,
                _ => continue,
            };
            self.rests.insert(line["id"].as_u64().unwrap(), rest);
        }
    }
}

/// Where the upstream's connections wait for what they are to answer.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

/// A call's number and its attempt's.
type Ticket = (u64, u32);

#[derive(Default)]
struct State {
    arrived: HashSet<Ticket>,
    answers: HashMap<Ticket, Meets>,
    closed: bool,
}

impl Desk {
    /// Answers requests as they are told to.
    fn serve(&self, peer: &mut Connection) {
        while let Some(request) = peer.request() {
            let number = |name| request.headers.get(name).map(|text| text.parse().unwrap());
            let ticket = (number("x-id").unwrap(), number("x-locum-attempt").unwrap_or(1) as u32);
            let Some(answer) = self.take(ticket) else { return };
            let status = match answer.outcome {
                Outcome::Success => "200 OK",
                Outcome::Failure => "503 Service Unavailable",
                Outcome::Ignored => "404 Not Found",
                Outcome::Overload => "429 Too Many Requests",
                Outcome::Hang => unreachable!("nobody answers it"),
            };
            let after = answer.retry_after.map(|after| after.as_millis().to_string());
            let fields: Vec<_> =
                after.iter().map(|after| ("grpc-retry-pushback-ms", &**after)).collect();
            peer.answer_with(&request, status, &fields, b"");
        }
    }

    /// Waits for an answer to the request; `None`: there will be none.
    fn take(&self, ticket: Ticket) -> Option<Meets> {
        let mut state = self.state.lock().unwrap();
        state.arrived.insert(ticket);
        self.changed.notify_all();
        let waits = |state: &mut State| !state.closed && !state.answers.contains_key(&ticket);
        let mut state = self.changed.wait_while(state, waits).unwrap();
        state.answers.remove(&ticket)
    }

    fn answer(&self, ticket: Ticket, answer: Meets) {
        self.state.lock().unwrap().answers.insert(ticket, answer);
        self.changed.notify_all();
    }

    fn wait_for(&self, ticket: Ticket) {
        let arrives = || self.state.lock().unwrap().arrived.contains(&ticket);
        eventually("the attempt arrives upstream", arrives);
    }

    fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.changed.notify_all();
    }
}

/// One listener, one route, one upstream with one endpoint.
fn plan(settings: &Settings, endpoint: SocketAddr) -> plan::Settings {
    let anywhere = listener::Bind::Tcp("127.0.0.1:0".parse().unwrap());
    let listener = listener::Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..listener::Settings::new("web", anywhere)
    };
    let endpoints = vec![EndpointSettings::new("a", endpoint)];
    let forward = route::Action::Forward(vec![(UPSTREAM.to_owned(), 1)]);
    let route =
        route::Settings { policy: Some(POLICY.to_owned()), ..route::Settings::new("all", forward) };
    plan::Settings {
        listeners: vec![listener],
        upstreams: vec![upstream::Settings::new(UPSTREAM, endpoints)],
        policies: vec![(POLICY.to_owned(), settings.clone())],
        routes: vec![route],
        seed: Some(SEED),
        ..plan::Settings::default()
    }
}
