//! Peers that mean harm, beside one that means none.
//!
//! Each test has a good client go on beside the attack, and says how much memory the attack took at most.

use std::cell::Cell;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use locum_testkit::clock::PATIENCE;
use locum_testkit::netrpc::gob;
use locum_testkit::{Args, Locum, NetRpc, Pieces, Upstream, eventually};

use super::setup::{client, gob_server, multiply, newest_go, to};
use crate::setup::Config;

mod attacks;

/// The program under attack, with a client that is to notice nothing.
struct Besieged {
    locum: Locum,
    good: Cell<Option<NetRpc>>,
    before: u64,
    most: Cell<u64>,
}

impl Besieged {
    fn new(locum: Locum) -> Self {
        let mut good = client(&locum);
        for _ in 0..100 {
            assert_eq!(multiply(&mut good).int(), 42);
        }
        let before = locum.resident();
        Self { locum, good: Cell::new(Some(good)), before, most: Cell::new(before) }
    }

    /// The good client's next calls, and a look at the memory.
    fn check(&self) {
        let mut good = self.good.take().expect("one check at a time");
        assert_eq!(multiply(&mut good).int(), 42);
        self.good.set(Some(good));
        self.most.set(self.most.get().max(self.locum.resident()));
    }

    /// Sends these bytes on a connection of their own, and waits for its end.
    fn send(&self, name: &str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.locum.address("rpc")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit above zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit above zero");
        // Whoever is turned away in the middle has nothing left to say.
        drop(stream.write_all(bytes));
        self.check();
        drop(stream.shutdown(Shutdown::Write));
        let ended = io::copy(&mut stream, &mut io::sink());
        let still_open = ended.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(!still_open, "{name}: the connection is neither answered nor closed");
        self.check();
    }

    /// Says how much memory it took, which has to be less than that.
    fn grew_less_than(&self, what: &str, most: u64) {
        let grown = self.most.get() - self.before;
        report(what, grown);
        assert!(grown < most, "{what}: {} KiB more", grown >> 10);
    }
}

/// Says how many bytes more were resident, past the capture of a test's output.
pub(super) fn report(what: &str, grown: u64) {
    drop(writeln!(io::stderr(), "memory: {} KiB more under {what}", grown >> 10));
}

#[test]
fn bytes_that_mean_harm_harm_nobody() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    for port in ["rpc", "auto"] {
        let besieged = Besieged::new(to(&[&server]).takes(port).start());
        let attacks = attacks::all();
        for (name, bytes) in &attacks {
            // In place of a call, and of an argument.
            besieged.send(name, bytes);
            let mut caller = client(&besieged.locum);
            let header = caller.header("Echo.Bytes");
            besieged.send(name, &[&header, bytes.as_slice()].concat());
        }
        let what = format!("{} attacks on a port for {port}", attacks.len());
        // Messages of up to 16 MiB are among them, one after the other.
        besieged.grew_less_than(&what, 160 << 20);
    }
}

#[test]
fn random_bytes_harm_nobody() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    for port in ["rpc", "auto"] {
        let besieged = Besieged::new(to(&[&server]).takes(port).start());
        for seed in 0..100 {
            let bytes = attacks::random(seed);
            besieged.send(&format!("seed {seed}"), &bytes);
        }
        besieged.grew_less_than(&format!("random bytes on a port for {port}"), 32 << 20);
    }
}

#[test]
fn a_message_above_the_limit_is_not_held() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let config = to(&[&server]).listener("limits = { message_bytes = \"64KiB\" }");
    let besieged = Besieged::new(config.start());
    let fits = vec![7; 60 << 10];
    let mut caller = client(&besieged.locum);
    assert_eq!(caller.call("Echo.Bytes", Args::Bytes(&fits)).bytes(), fits);
    for _ in 0..20 {
        let mut caller = client(&besieged.locum);
        let bytes = caller.write("Echo.Bytes", Args::Bytes(&vec![7; 64 << 20]));
        // It need not take all of it.
        drop(caller.try_send(&bytes));
        if let Ok(answer) = caller.answer() {
            assert_ne!(answer.failure(), "", "it is passed over");
        }
        besieged.check();
    }
    let text = "x".repeat(1 << 20);
    let json = format!("{{\"method\":\"Echo.Text\",\"params\":[\"{text}\"],\"id\":1}}");
    besieged.send("a megabyte of JSON", json.as_bytes());
    besieged.grew_less_than("20 messages of 64 MiB where 64 KiB are allowed", 8 << 20);
}

#[test]
fn half_messages_are_held_as_far_as_they_came() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let besieged = Besieged::new(to(&[&server]).start());
    let halves: Vec<_> = (0..200)
        .map(|_| {
            let mut caller = client(&besieged.locum);
            // A message of nearly 16 MiB, of which a KiB comes.
            let bytes = caller.header("Echo.Bytes");
            let large = [gob::uint((16 << 20) - 100), vec![7; 1024]].concat();
            caller.send([bytes, large].concat());
            caller
        })
        .collect();
    eventually("all are taken in", || {
        besieged.check();
        besieged.locum.metric("locum_connections", &[("listener", "rpc")]) >= 201.0
    });
    besieged.check();
    drop(halves);
    besieged.grew_less_than("200 connections that begin 16 MiB", 24 << 20);
}

#[test]
fn five_thousand_silent_connections_cost_little() {
    const SILENT: usize = 5000;
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    for port in ["rpc", "auto"] {
        let besieged = Besieged::new(to(&[&server]).takes(port).start());
        let silent: Vec<_> = (0..SILENT).map(|_| client(&besieged.locum)).collect();
        eventually("all are taken in", || {
            besieged.check();
            besieged.locum.metric("locum_connections", &[("listener", "rpc")]) > SILENT as f64
        });
        besieged.check();
        drop(silent);
        let what = format!("{SILENT} silent connections to a port for {port}");
        besieged.grew_less_than(&what, SILENT as u64 * (4 << 10));
    }
}

#[test]
fn a_flood_of_cancels_takes_no_more_than_its_answers() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let config = to(&[&server]).listener("limits = { write_stall = \"1s\" }");
    let besieged = Besieged::new(config.start());
    let mut caller = client(&besieged.locum);
    let mut flood = Vec::new();
    for seq in 0..100_000 {
        flood.extend(caller.write("_goRPC_.Cancel", Args::Uint("CancelArgs", "Seq", seq)));
    }
    // One that reads what it is told, and one that does not.
    let mut reads = caller.stream().try_clone().expect("a descriptor");
    let reader = thread::spawn(move || io::copy(&mut reads, &mut io::sink()));
    let mut deaf = TcpStream::connect(besieged.locum.address("rpc")).expect("it listens");
    deaf.set_write_timeout(Some(PATIENCE)).expect("a limit above zero");
    let deafly = flood.clone();
    let writer = thread::spawn(move || {
        while deaf.write_all(&deafly).is_ok() {}
        drop(deaf.read(&mut [0; 1]));
    });
    for _ in 0..5 {
        if caller.try_send(&flood).is_err() {
            break;
        }
        besieged.check();
    }
    caller.half_close();
    reader.join().expect("it reads").expect("to the end");
    eventually("the deaf one is closed", || {
        besieged.check();
        writer.is_finished()
    });
    besieged.grew_less_than("a flood of cancels", 32 << 20);
}

#[test]
fn ten_thousand_names_of_methods_do_not_fill_the_memory() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let policy = "timeout = \"10s\"\nbreaker = { per = \"method\" }\n\
                  rate_limit = { rate = \"1000000/s\", burst = 1000000, key = \"method\" }\n\
                  retry = { attempts = 2 }\nhedge = { delay = \"p95\" }";
    let besieged = Besieged::new(to(&[&server]).policy(policy).start());
    let call_all = |prefix: &str, count: usize| {
        let mut caller = client(&besieged.locum);
        for at in 0..count {
            let name = format!("{prefix}{at}.None");
            let answer = caller.call(&name, Args::Int(1));
            assert_eq!(answer.failure(), format!("rpc: can't find service {name}"));
            if at % 1000 == 0 {
                besieged.check();
            }
        }
        besieged.check();
    };
    call_all("Short", 12_000);
    besieged.grew_less_than("12,000 names of methods", 48 << 20);
    let short = besieged.locum.resident();
    call_all(&"Long".repeat(10_000), 1000);
    let grown = besieged.locum.resident().saturating_sub(short);
    report("1,000 names of 40 kB", grown);
    assert!(grown < 16 << 20, "{} KiB more", grown >> 10);
    let metrics = besieged.locum.metrics();
    let breakers = metrics.lines().filter(|line| line.starts_with("locum_breaker_state{")).count();
    assert!(breakers <= 10_001, "{breakers}");
}

#[test]
fn a_stream_of_a_thousand_types_and_more_ends_and_the_upstream_lives_on() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let besieged = Besieged::new(to(&[&server]).start());
    for round in 0..10 {
        let mut caller = client(&besieged.locum);
        let mut refused = 0;
        for at in 0..1100 {
            // All of them another type, also than those of other clients.
            let name = format!("T{round}x{at}");
            caller.begin("Arith.Multiply", Args::Ints(&name, &[("A", 6), ("B", 7), (&name, 1)]));
            match caller.answer() {
                Ok(answer) => assert_eq!(answer.int(), 42, "{name}"),
                Err(_) => {
                    refused = at;
                    break;
                }
            }
        }
        assert!((1000..1024).contains(&refused), "ended at type {refused}");
        besieged.check();
    }
    besieged.grew_less_than("10 streams of 1,024 types", 32 << 20);
}

#[test]
fn servers_that_answer_nonsense_fail_their_calls_and_nothing_else() {
    let nonsense: [(&str, &[u8]); 8] = [
        ("closes", b""),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("text", b"-ERR unknown command\r\n"),
        ("zeros", &[0; 64]),
        ("a huge length", b"\xf8\x7f\xff\xff\xff\xff\xff\xff\xff"),
        ("16 MiB and a byte", b"\xfc\x01\x00\x00\x01"),
        ("a value without a type", b"\x03\xff\x90\x00"),
        ("half a definition", b"\x2f\xff\x81\x03\x01\x01"),
    ];
    for (name, bytes) in nonsense {
        let server = Upstream::start(move |peer| {
            let mut sink = [0; 4096];
            if matches!(peer.stream().read(&mut sink), Ok(1..)) {
                peer.send(bytes);
                drop(peer.stream().shutdown(Shutdown::Write));
                peer.wait_for_close();
            }
        });
        let locum = Config::calls_to("gob", [server.address()]).policy("timeout = \"5s\"").start();
        let mut caller = client(&locum);
        for _ in 0..3 {
            let told = multiply(&mut caller).failure();
            assert!(told.starts_with("locum: "), "{name}: {told}");
        }
    }
    // One that says nothing is left when the time is over.
    let server = Upstream::start(|peer| peer.wait_for_close());
    let locum = Config::calls_to("gob", [server.address()]).policy("timeout = \"200ms\"").start();
    let told = multiply(&mut client(&locum)).failure();
    assert!(told.starts_with("locum: rejected by deadline"), "{told}");
}

#[test]
fn as_many_calls_as_a_client_may_have_cost_a_few_kilobytes_each() {
    const CALLS: usize = 16 << 10;
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let besieged = Besieged::new(to(&[&server]).policy("timeout = \"30s\"").start());
    let mut greedy = client(&besieged.locum);
    let calls: Vec<u8> = (0..CALLS)
        .flat_map(|_| greedy.write("Slow.Hold", Args::Ints("HoldArgs", &[("Key", 15)])))
        .collect();
    greedy.send(calls);
    eventually("all are under way", || {
        besieged.check();
        super::setup::held(&server, 15) == CALLS as i64
    });
    besieged.check();
    super::setup::release(&server, 15);
    for _ in 0..CALLS {
        assert_eq!(greedy.answer().unwrap().int(), 15);
    }
    besieged.grew_less_than("16,384 calls under way", CALLS as u64 * (10 << 10));
}

#[test]
fn calls_above_the_limit_of_a_connection_wait_and_others_do_not() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let config = to(&[&server]).listener("limits = { calls_per_connection = 10 }");
    let besieged = Besieged::new(config.start());
    let mut greedy = client(&besieged.locum);
    let mut calls = Vec::new();
    for _ in 0..1000 {
        calls.extend(greedy.write("Slow.Hold", Args::Ints("HoldArgs", &[("Key", 11)])));
    }
    greedy.send_in(Pieces::Whole, &calls);
    let held = || super::setup::held(&server, 11);
    eventually("as many as it may have are under way", || {
        besieged.check();
        held() >= 10
    });
    // The rest would come at once, if they came.
    greedy.patience(Duration::from_millis(300));
    assert!(greedy.answer().is_err());
    assert_eq!(held(), 10);
    greedy.patience(PATIENCE);
    // Whatever was sent is answered in the end, also if nothing more will be.
    greedy.half_close();
    thread::scope(|scope| {
        let releases = scope.spawn(|| {
            for _ in 0..100 {
                eventually("all that may be are under way", || held() == 10);
                super::setup::release(&server, 11);
            }
        });
        for at in 0..1000 {
            let answer = greedy.answer().unwrap_or_else(|broken| panic!("answer {at}: {broken}"));
            assert_eq!(answer.int(), 11);
        }
        releases.join().expect("each ten of them come together");
    });
    assert!(greedy.is_closed());
}
