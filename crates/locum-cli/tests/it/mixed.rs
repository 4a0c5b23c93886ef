//! Reloads and upgrades while everything is carried at once: HTTP/1.1, HTTP/2, WebSockets, gRPC, remote calls.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use locum::{Channel, Cx};
use locum_testkit::http::Framing;
use locum_testkit::http2::{self, Http2};
use locum_testkit::{Client, Connection, Grpc, GrpcServer, Load, Locum, Upstream, eventually};

use crate::setup::{Config, demo, locum};

/// What stands behind: of HTTP/1.1 and WebSockets, of gRPC, and of remote calls.
struct Behind {
    http: Upstream,
    grpc: Option<GrpcServer>,
    calls: Locum,
}

impl Behind {
    fn start() -> Self {
        let grpc = Grpc::find().map(Grpc::server);
        Self { http: Upstream::start(answers_or_echoes), grpc, calls: demo() }
    }

    /// A configuration with all of them, and something that is another number each time.
    fn config(&self, number: usize) -> String {
        let limit =
            format!("rate_limit = {{ rate = \"{}/s\", burst = 1000000 }}", 1_000_000 + number);
        let calls = self.calls.address("rpc");
        let rpc = format!(
            "[listeners.rpc]\nbind = \"127.0.0.1:0\"\nprotocol = \"rpc\"\n\
             [upstreams.calls]\nendpoints = [\"{calls}\"]\nprotocol = \"gob\"\n\
             [[routes]]\nlistener = \"rpc\"\nmatch = {{ call = \"*\" }}\nupstream = \"calls\"\npolicy = \"careful\""
        );
        // What is carried from the beginning stays with the first process however long all of them take.
        let drain = "[runtime]\ndrain = \"5m\"";
        let config = Config::to(&self.http).policy(&limit).and(&rpc).and(drain);
        let Some(grpc) = &self.grpc else { return config.to_string() };
        let grpc = format!(
            "[upstreams.grpc]\nendpoints = [\"{}\"]\nprotocol = \"grpc\"\n\
             [[routes]]\nmatch = {{ path = \"/test.Peer/*\" }}\nupstream = \"grpc\"\npolicy = \"careful\"",
            grpc.address
        );
        config.and(&grpc).to_string()
    }
}

/// Answers requests; becomes a tunnel that echoes when asked for one.
fn answers_or_echoes(peer: &mut Connection) {
    use std::io::Read as _;
    while let Some(request) = peer.request() {
        if !request.headers.has("upgrade") {
            peer.answer(&request, b"ok");
            continue;
        }
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        peer.send(switch.as_bytes());
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = peer.stream().read(&mut buffer) {
            peer.send(&buffer[..read]);
        }
        return;
    }
}

/// Tunnels that are open all the time.
struct Tunnels(Vec<Client>);

impl Tunnels {
    fn open(count: usize, at: SocketAddr) -> Self {
        let open = || {
            let mut client = Client::connect(at);
            client.send(
                "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            );
            assert_eq!(client.reader().response_head("GET").unwrap().0.status, 101);
            client
        };
        Self((0..count).map(|_| open()).collect())
    }

    /// Says something on each, and hears it.
    fn speak(&mut self, what: &str) {
        for client in &mut self.0 {
            client.send(what);
            let mut heard = Vec::new();
            client.reader().body(Framing::Length(what.len() as u64), &mut heard).unwrap();
            assert_eq!(String::from_utf8_lossy(&heard), what);
        }
    }
}

/// What became of what a client asked.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    fn count(&self, answered: bool) {
        let count = if answered { &self.answered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// All that asks, but for the tunnels.
struct Askers<'a> {
    kept: &'a Load,
    new: &'a Load,
    http2: &'a Tally,
    remote: &'a Tally,
    /// There is a real one.
    grpc: bool,
}

impl Askers<'_> {
    /// Waits until each has asked some times more, and was answered in between.
    fn go_on(&self, locum: &Locum) {
        let before = self.counts(locum);
        eventually("all is carried", || {
            self.counts(locum).iter().zip(&before).all(|(now, before)| *now > before + 5.0)
        });
    }

    fn counts(&self, locum: &Locum) -> Vec<f64> {
        let Self { kept, new, http2, remote, grpc } = self;
        let counts = [kept.sent(), new.sent(), http2.answered(), remote.answered()];
        let labels = &[("protocol", "grpc"), ("code", "OK")];
        let grpc = grpc.then(|| locum.metric("locum_calls_total", labels));
        counts.map(|count| count as f64).into_iter().chain(grpc).collect()
    }
}

/// Asks by HTTP/2, on one connection until it is told to come anew.
fn over_http2(at: SocketAddr, stop: &AtomicBool, tally: &Tally) {
    while !stop.load(Ordering::Relaxed) {
        let mut connection = Http2::connect(at);
        let (mut stream, mut last) = (1, None);
        while last.is_none() && !stop.load(Ordering::Relaxed) {
            connection.get(stream, "/");
            let mut status = false;
            let ended = loop {
                let Some(frame) = connection.read() else { break false };
                match frame.kind {
                    // 0x88 is `:status: 200` (RFC 7541, appendix A).
                    http2::HEADERS if frame.stream == stream => status = frame.payload[0] == 0x88,
                    http2::GOAWAY => last = Some(frame.goes_away().0),
                    http2::RST_STREAM if frame.stream == stream => break false,
                    _ => {}
                }
                if frame.stream == stream && frame.ends() {
                    break true;
                }
            };
            // Who is told that it was not taken asks again elsewhere, as every client does.
            if last.is_none_or(|last| stream <= last) {
                tally.count(ended && status);
            }
            stream += 2;
        }
    }
}

/// Calls by our native protocol, through a channel that finds its way back by itself.
fn calls(at: SocketAddr, stop: &AtomicBool, tally: &Tally) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Channel::builder(format!("native://{at}")).build().unwrap();
        while !stop.load(Ordering::Relaxed) {
            let answer = channel.call_json(&Cx::new(), "Arith.Add", "{\"A\":7,\"B\":8}").await;
            if answer.as_deref().ok() != Some("15") {
                eprintln!("a call: {answer:?}");
            }
            tally.count(answer.as_deref().ok() == Some("15"));
        }
    });
}

/// Has everything carried while something happens so many times, which may speak over the tunnels; nothing may fail, and
/// after each time everything has to go on.
fn while_all_is_carried(
    behind: &Behind,
    locum: &mut Locum,
    times: usize,
    mut something: impl FnMut(&mut Locum, &mut Tunnels, usize),
) {
    let (web, rpc) = (locum.address("web"), locum.address("rpc"));
    let (stop, http2, remote) = (AtomicBool::new(false), Tally::default(), Tally::default());
    let mut tunnels = Tunnels::open(20, web);
    let (kept, new) =
        (Load::get(web, "/").clients(2), Load::get(web, "/").clients(1).new_connections());
    let grpc = behind.grpc.is_some();
    let askers = Askers { kept: &kept, new: &new, http2: &http2, remote: &remote, grpc };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| over_http2(web, &stop, &http2));
        }
        scope.spawn(|| calls(rpc, &stop, &remote));
        let stop = StopOnDrop(&stop);
        let mut everything = || {
            askers.go_on(locum);
            for number in 1..=times {
                something(locum, &mut tunnels, number);
                askers.go_on(locum);
            }
        };
        let (kept, (new, ())) = kept.during(|| {
            new.during(|| match &behind.grpc {
                None => everything(),
                Some(_) => {
                    let grpc = Grpc::find().expect("it was found before");
                    let ((answered, failures), ()) = grpc.load_during(web, everything);
                    assert!(failures.is_empty(), "{answered} {failures:?}");
                }
            })
        });
        drop(stop);
        assert_eq!((kept.failed(), kept.closed_idle, new.failed()), (0, 0, 0), "{kept:?} {new:?}");
    });
    assert_eq!((http2.failed(), remote.failed()), (0, 0), "{http2:?} {remote:?}");
    tunnels.speak("to the end");
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_reloads_break_nothing_that_is_carried() {
    let behind = Behind::start();
    let mut locum = locum().config(behind.config(0)).start();
    while_all_is_carried(&behind, &mut locum, 100, |locum, tunnels, number| {
        locum.reload(&behind.config(number));
        tunnels.speak("a reload");
    });
    assert_eq!(locum.metric("locum_config_reloads_total", &[("result", "ok")]), 100.0);
    locum.counts("locum_panics_total", &[], 0.0);
}

#[test]
fn ten_upgrades_break_nothing_that_is_carried() {
    let behind = Behind::start();
    let mut locum = locum().config(behind.config(0)).start();
    while_all_is_carried(&behind, &mut locum, 10, |locum, tunnels, _| {
        locum.upgrade();
        // As long as the old process drains.
        tunnels.speak("an upgrade");
        Tunnels::open(1, locum.address("web")).speak("by the new one");
    });
    let ends = locum.wait_for_replaced();
    assert!(ends.len() == 10 && ends.iter().all(|end| end.success()), "{ends:?}");
    locum.counts("locum_panics_total", &[], 0.0);
}
