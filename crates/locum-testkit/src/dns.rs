//! A name server that says what a test wants it to.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A name server on a free port of the loopback. Dropping it closes it.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What a name server does with a question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    #[default]
    Good,
    /// It says that it failed.
    Failing,
    /// It says nothing.
    Silent,
    /// It answers in full over TCP only.
    Brief,
    /// It first sends what is no answer to the question, then the answer.
    Spoofed,
}

#[derive(Debug, Default)]
struct Zone {
    /// By name in lower case and type: the TTL and the data of each record.
    records: BTreeMap<(String, u16), Vec<(u32, Vec<u8>)>>,
    mood: Mood,
    asked: Vec<(String, u16)>,
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const SRV: u16 = 33;
/// How long a thread waits before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

impl Dns {
    /// Starts one that knows no name.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn start() -> Self {
        // A port that is free for both; UDP has fewer neighbours.
        let (udp, tcp) = (0..16)
            .find_map(|_| {
                let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
                let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
                Some((udp, tcp))
            })
            .expect("a free port");
        let address = udp.local_addr().expect("a bound socket has an address");
        let (zone, stopping) = (Arc::<Mutex<Zone>>::default(), Arc::new(AtomicBool::new(false)));
        let over_udp = {
            let (zone, stopping) = (Arc::clone(&zone), Arc::clone(&stopping));
            udp.set_read_timeout(Some(LOOK)).expect("a socket with a timeout");
            thread::spawn(move || serve_udp(&udp, &zone, &stopping))
        };
        let over_tcp = {
            let (zone, stopping) = (Arc::clone(&zone), Arc::clone(&stopping));
            thread::spawn(move || serve_tcp(&tcp, &zone, &stopping))
        };
        Self { address, zone, stopping, threads: vec![over_udp, over_tcp] }
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these addresses, for so many seconds each.
    pub fn hosts(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        let of = |wanted: u16| {
            let data = addresses.iter().filter_map(move |address| match address {
                IpAddr::V4(v4) => (wanted == A).then(|| (ttl, v4.octets().to_vec())),
                IpAddr::V6(v6) => (wanted == AAAA).then(|| (ttl, v6.octets().to_vec())),
            });
            data.collect()
        };
        let mut zone = self.zone();
        zone.records.insert((name.to_lowercase(), A), of(A));
        zone.records.insert((name.to_lowercase(), AAAA), of(AAAA));
    }

    /// From now on `name` is an alias of `target`.
    pub fn alias(&self, name: &str, target: &str) {
        let data = vec![(60, labels(target))];
        self.zone().records.insert((name.to_lowercase(), CNAME), data);
    }

    /// From now on `name` has these SRV records: priority, weight, port and target.
    pub fn services(&self, name: &str, ttl: u32, records: &[(u16, u16, u16, &str)]) {
        let data = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
            let numbers = [priority, weight, port].map(|number| number.to_be_bytes());
            (ttl, [numbers.concat(), labels(target)].concat())
        };
        self.zone().records.insert((name.to_lowercase(), SRV), records.iter().map(data).collect());
    }

    /// What it does from now on.
    pub fn be(&self, mood: Mood) {
        self.zone().mood = mood;
    }

    /// How many questions it was asked.
    pub fn asked(&self) -> usize {
        self.zone().asked.len()
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        lock(&self.zone)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the one that accepts.
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>, stopping: &AtomicBool) {
    let mut question = [0; 512];
    while !stopping.load(Ordering::SeqCst) {
        let Ok((length, peer)) = socket.recv_from(&mut question) else { continue };
        let mood = lock(zone).mood;
        let Some(answer) = lock(zone).answer(&question[..length], mood == Mood::Brief) else {
            continue;
        };
        if mood == Mood::Spoofed {
            let mut other = answer.clone();
            other[1] ^= 1;
            drop(socket.send_to(&other, peer));
            drop(socket.send_to(b"?", peer));
        }
        drop(socket.send_to(&answer, peer));
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Mutex<Zone>, stopping: &AtomicBool) {
    for stream in listener.incoming() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        // Whoever goes away in between has no answer.
        drop(stream.and_then(|stream| answer_over_tcp(stream, zone)));
    }
}

fn answer_over_tcp(mut stream: TcpStream, zone: &Mutex<Zone>) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    let Some(answer) = lock(zone).answer(&question, false) else { return Ok(()) };
    let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())
}

impl Zone {
    /// RFC 1035 §4.1. The question is said again, names are written out.
    fn answer(&mut self, question: &[u8], cut: bool) -> Option<Vec<u8>> {
        let (name, end) = name_at(question, 12)?;
        let kind = u16::from_be_bytes(question.get(end..end + 2)?.try_into().ok()?);
        self.asked.push((name.clone(), kind));
        let known = self.records.keys().any(|(known, _)| *known == name);
        let code = match self.mood {
            Mood::Silent => return None,
            Mood::Failing => 2,
            _ if !known => 3,
            _ => 0,
        };
        let records = if code == 0 && !cut { self.find(&name, kind) } else { Vec::new() };
        let truncated = if cut { 2 } else { 0 };
        let mut answer = question.get(..2)?.to_vec();
        answer.extend([0x84 | truncated, 0x80 | code, 0, 1]);
        answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(question.get(12..end + 4)?);
        for (owner, kind, ttl, data) in records {
            answer.extend(labels(&owner));
            answer.extend(kind.to_be_bytes());
            answer.extend(1_u16.to_be_bytes());
            answer.extend(ttl.to_be_bytes());
            answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }

    /// The records of `name`, and of what it is an alias of.
    fn find(&self, name: &str, kind: u16) -> Vec<(String, u16, u32, Vec<u8>)> {
        let of = |name: &str, kind: u16| {
            let records = self.records.get(&(name.to_owned(), kind)).cloned().unwrap_or_default();
            let name = name.to_owned();
            records.into_iter().map(move |(ttl, data)| (name.clone(), kind, ttl, data))
        };
        let mut found: Vec<_> = of(name, CNAME).collect();
        let target = found.first().and_then(|(.., data)| name_at(data, 0)).map(|(name, _)| name);
        found.extend(of(target.as_deref().unwrap_or(name), kind));
        found
    }
}

/// A name as it is sent.
fn labels(name: &str) -> Vec<u8> {
    let parts = name.trim_end_matches('.').split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = parts
        .flat_map(|label| {
            let length = u8::try_from(label.len()).expect("a label is short");
            [length].into_iter().chain(label.bytes())
        })
        .collect();
    bytes.push(0);
    bytes
}

/// The name that is sent there, in lower case, and where it ends.
fn name_at(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(bytes.get(at..at + length)?).to_lowercase());
        at += length;
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}
