//! More clients than there is room for.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use locum_testkit::clock::{PATIENCE, now};
use locum_testkit::{Client, Upstream, eventually, script};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::limits::MANY;
use crate::setup::Config;

/// Connections that are made, and for how many of these there is room.
const MADE: usize = 20_000;
const ROOM: usize = 10_000;
/// Of these, clients that were there first and go on asking, and so many come when places get free.
const FRIENDS: usize = 4;
const NEWCOMERS: usize = 100;
/// Threads that make the others.
const CROWDS: usize = 4;

#[test]
fn of_twenty_thousand_connections_half_are_served_and_half_told_that_there_is_no_room() {
    let needed = (ROOM + 1_000) as u64;
    let may = raise_descriptor_limit(needed);
    if may < needed {
        // Straight to standard error, past the capture of the test's output.
        drop(writeln!(
            io::stderr(),
            "SKIPPED of_twenty_thousand_connections…: {may} file descriptors, needs {needed}"
        ));
        return;
    }
    let _alone = MANY.lock();
    let begin = now();
    let upstream = Upstream::start(script::answers("ok"));
    let limits = format!("limits = {{ connections = {ROOM}, idle = \"120s\" }}");
    let locum = Config::to(&upstream).listener(&limits).start();
    let address = locum.address("web");
    let mut friends: Vec<Client> = (0..FRIENDS).map(|_| locum.client()).collect();
    friends.iter_mut().for_each(|friend| assert_eq!(friend.get("/").unwrap().status, 200));
    let before = locum.resident();

    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (full, free) = thread::scope(|scope| {
        // They end even if something panics.
        let _over = SetOnDrop(&over);
        for friend in friends {
            scope.spawn(|| goes_on_asking(friend, &over, &served));
        }
        let crowds: Vec<_> =
            (0..CROWDS).map(|number| scope.spawn(move || Crowd::come(number, address))).collect();
        let mut held = Vec::new();
        let mut refused = 0;
        for crowd in crowds {
            let crowd = crowd.join().unwrap();
            assert_eq!(crowd.unclear, [""; 0]);
            held.extend(crowd.held);
            refused += crowd.refused;
        }
        assert_eq!((held.len(), refused), (ROOM - FRIENDS, MADE - (ROOM - FRIENDS)));
        locum.counts("locum_connections", &[("listener", "web")], ROOM as f64);
        locum.counts("locum_refused_total", &[("reason", "connections")], refused as f64);
        let full = locum.resident();
        let served_meanwhile = served.load(Ordering::Relaxed);
        assert!(served_meanwhile > 0, "who was there first is served meanwhile");

        held.truncate(held.len() / 2);
        let mut newcomers = Vec::new();
        eventually("there is room for who comes now", || {
            let mut client = Client::connect(address);
            if client.get("/").is_ok_and(|answer| answer.status == 200) {
                newcomers.push(client);
            }
            newcomers.len() == NEWCOMERS
        });
        drop(held);
        eventually("the others have left", || {
            locum.metric("locum_connections", &[("listener", "web")])
                == (FRIENDS + NEWCOMERS) as f64
        });
        assert!(newcomers.iter_mut().all(|client| client.get("/").unwrap().status == 200));
        drop(writeln!(
            io::stderr(),
            "crowded: {refused} of {MADE} refused, {served_meanwhile} calls served meanwhile"
        ));
        (full, locum.resident())
    });
    drop(writeln!(
        io::stderr(),
        "crowded: memory {} KiB before, {} KiB with all, {} KiB when they had left; {:.1} s",
        before >> 10,
        full >> 10,
        free >> 10,
        begin.elapsed().as_secs_f64(),
    ));
    assert!(full.saturating_sub(before) < 64 << 20, "{} KiB more", (full - before) >> 10);
    locum.counts("locum_panics_total", &[], 0.0);
}

/// Asks over one connection until it is over; every request is to be answered.
fn goes_on_asking(mut client: Client, over: &AtomicBool, served: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        client.reader().forget();
        assert_eq!(client.get("/").unwrap().status, 200);
        served.fetch_add(1, Ordering::Relaxed);
    }
}

/// What became of some connections.
#[derive(Default)]
struct Crowd {
    /// Those that were served, and stay open.
    held: Vec<Socket>,
    /// How many were told that there is no room.
    refused: usize,
    /// What the others were told.
    unclear: Vec<String>,
}

impl Crowd {
    /// Its part of all that come, each with one request.
    fn come(number: usize, to: SocketAddr) -> Self {
        let mut crowd = Self::default();
        for _ in 0..MADE / CROWDS {
            let client = connect(number, to);
            // Who is turned away may have been so before it has said anything.
            drop((&client).write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
            let mut answer = [0; 1024];
            let read = (&client).read(&mut answer).unwrap_or_default();
            let answer = String::from_utf8_lossy(&answer[..read]);
            if answer.starts_with("HTTP/1.1 200 ") {
                crowd.held.push(client);
            } else if answer.starts_with("HTTP/1.1 503 ")
                && answer.contains("Connection: close\r\n")
            {
                crowd.refused += 1;
            } else {
                crowd.unclear.push(answer.into_owned());
            }
        }
        crowd
    }
}

/// From an address of this crowd's own: one alone has not ports enough for all.
fn connect(number: usize, to: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(number).unwrap());
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(&to.into()).unwrap();
    socket
}

/// How many descriptors there may be from now on: as many as this, if that may be.
fn raise_descriptor_limit(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let enough = |granted: Option<u64>| granted.is_none_or(|granted| granted >= wanted);
    if enough(limit.current) {
        return wanted;
    }
    let maximum = if enough(limit.maximum) { limit.maximum } else { Some(wanted) };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    raised.map_or_else(|_| limit.current.unwrap_or(wanted), |()| wanted)
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
