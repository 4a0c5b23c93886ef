//! TLS towards clients and towards upstreams.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use locum_proxy::plan::Settings;
use locum_proxy::tls::{ClientSettings, Identity, ServerSettings, Version};
use locum_proxy::{ClockSource, Hand, Options, auth};
use locum_proxy::{listener, route, upstream};
use locum_testkit::{BlackHole, Broken, Client, Gate, Go, Mode, Upstream, eventually, script};
use rcgen::{CertificateParams, DnType, SanType};
use rustls::HandshakeKind;
use serde_json::json;

use crate::setup::{Authority, Running, Secure, in_front_of, settings, towards};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const REFUSED: &str = "locum_refused_total{listener=\"web\",reason=\"tls\"}";

fn with(certificates: impl IntoIterator<Item = Identity>) -> Option<ServerSettings> {
    let certificates = certificates.into_iter().collect();
    Some(ServerSettings { certificates, client_ca: None, min: Version::Tls12 })
}

/// Whom an upstream is believed to be: `up.test`, of this authority.
fn believing(authority: &Authority) -> Option<ClientSettings> {
    Some(ClientSettings {
        server_name: Some("up.test".to_owned()),
        ca: Some(authority.pem.clone()),
        identity: None,
    })
}

/// A listener that is `web.test`, in front of a plain upstream.
fn in_front(upstream: &Upstream, authority: &Authority) -> Settings {
    let mut settings = settings(upstream.address());
    settings.listeners[0].tls = with([authority.sign(&["web.test"])]);
    settings
}

/// A plain client of a listener that is `web.test`.
fn dial(proxy: &Running, authority: &Authority) -> Client {
    Client::connect(towards(proxy.address(), "web.test", authority.client(None)))
}

fn large() -> Vec<u8> {
    (0..3_000_000u32).map(|at| b'a' + (at % 26) as u8).collect()
}

#[test]
fn requests_and_answers_pass_under_tls_on_both_sides() {
    let upstream = Upstream::start(script::echoes());
    let authority = Authority::new();
    let behind = in_front_of(upstream.address(), authority.server("up.test", None));
    let mut settings = settings(behind);
    settings.listeners[0].tls = with([authority.sign(&["web.test"])]);
    settings.upstreams[0].tls = believing(&authority);
    let proxy = Running::start(settings);
    let mut client = dial(&proxy, &authority);
    for _ in 0..3 {
        let seen = client.post("/", b"hello").unwrap().json();
        assert_eq!(seen["body"], "hello");
        let fields = seen["headers"].as_array().unwrap();
        assert!(fields.contains(&json!(["X-Forwarded-Proto", "https"])), "{fields:?}");
    }
    let seen = client.post("/", &large()).unwrap().json();
    assert_eq!(seen["body"].as_str().unwrap().as_bytes(), large());
    assert_eq!(upstream.accepted(), 1, "connections are kept");
    assert_eq!(upstream.violations(), [""; 0]);
}

#[test]
fn remote_calls_pass_under_tls_on_both_sides() {
    let authority = Authority::new();
    for go in Go::all() {
        let server = go.server(Mode::Gob, ANY);
        let behind = in_front_of(server.address, authority.server("up.test", None));
        let mut settings = settings(behind);
        settings.listeners[0].protocol = listener::Protocol::Rpc;
        settings.listeners[0].tls = with([authority.sign(&["web.test"])]);
        settings.upstreams[0].protocol = upstream::Protocol::Gob;
        settings.upstreams[0].tls = believing(&authority);
        settings.routes[0].matches =
            route::Match { call: Some("*".to_owned()), ..route::Match::default() };
        let proxy = Running::start(settings);
        let near = towards(proxy.address(), "web.test", authority.client(None));
        let mut checks = go.checks(Mode::Gob);
        // A server of net/rpc cannot cancel.
        checks.retain(|check| check != "cancel");
        assert_eq!(go.client(Mode::Gob, near, &checks), [""; 0]);
    }
}

#[test]
fn requests_that_came_in_one_record_are_all_answered() {
    let upstream = Upstream::start(script::names_the_target());
    let authority = Authority::new();
    let proxy = Running::start(in_front(&upstream, &authority));
    let mut secure = Secure::connect(proxy.address(), "web.test", &authority.client(None)).unwrap();
    let requests: String =
        (0..20).map(|at| format!("GET /{at} HTTP/1.1\r\nHost: a.test\r\n\r\n")).collect();
    secure.0.write_all(requests.as_bytes()).unwrap();
    let mut reader = locum_testkit::Reader::new(&mut secure.0);
    for at in 0..20 {
        assert_eq!(reader.response("GET").unwrap().text(), format!("/{at}"));
    }
}

#[test]
fn a_client_that_reads_late_gets_all_of_a_large_answer() {
    let upstream = Upstream::start(script::answers(large().repeat(8)));
    let authority = Authority::new();
    let proxy = Running::start(in_front(&upstream, &authority));
    let mut secure = Secure::connect(proxy.address(), "web.test", &authority.client(None)).unwrap();
    secure.0.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    // It is more than the sockets between hold, so before the first byte is read they are full.
    eventually("the answer has begun", || upstream.deliveries() == 1);
    let answer = locum_testkit::Reader::new(&mut secure.0).response("GET").unwrap();
    assert_eq!(answer.body, large().repeat(8));
    assert_eq!(secure.get("/").unwrap().body.len(), 24_000_000, "the connection goes on");
}

#[test]
fn pieces_of_an_answer_pass_as_they_come() {
    let gate = Gate::new();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |peer| {
            peer.request();
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for _ in 0..5 {
                peer.send(b"5\r\nhello\r\n");
                gate.wait();
            }
            peer.send(b"0\r\n\r\n");
        }
    });
    let authority = Authority::new();
    let proxy = Running::start(in_front(&upstream, &authority));
    let mut client = dial(&proxy, &authority);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reader = client.reader();
    assert_eq!(reader.response_head("GET").unwrap().0.status, 200);
    for _ in 0..5 {
        assert_eq!(reader.chunk().unwrap().as_deref(), Some(&b"hello"[..]));
        gate.open(1);
    }
    assert_eq!(reader.chunk().unwrap(), None);
}

#[test]
fn a_client_that_leaves_is_noticed_while_it_waits() {
    let upstream = Upstream::start(script::hangs());
    let authority = Authority::new();
    let behind = in_front_of(upstream.address(), authority.server("up.test", None));
    let mut settings = settings(behind);
    settings.listeners[0].tls = with([authority.sign(&["web.test"])]);
    settings.upstreams[0].tls = believing(&authority);
    let proxy = Running::start(settings);
    for cleanly in [true, false] {
        let mut secure =
            Secure::connect(proxy.address(), "web.test", &authority.client(None)).unwrap();
        secure.0.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        eventually("the request is there", || upstream.open() == 1);
        if cleanly {
            secure.0.conn.send_close_notify();
            secure.0.conn.complete_io(&mut secure.0.sock).unwrap();
        } else {
            drop(secure);
        }
        eventually("the attempt is given up", || upstream.open() == 0);
    }
}

#[test]
fn an_answer_that_breaks_off_under_tls_is_never_taken_for_whole() {
    // Until the close, which nobody has said is meant.
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf");
        peer.reset();
    });
    let authority = Authority::new();
    let behind = in_front_of(upstream.address(), authority.server("up.test", None));
    let mut settings = settings(behind);
    settings.listeners[0].tls = with([authority.sign(&["web.test"])]);
    settings.upstreams[0].tls = believing(&authority);
    let proxy = Running::start(settings);
    let mut secure = Secure::connect(proxy.address(), "web.test", &authority.client(None)).unwrap();
    let answer = secure.get("/");
    assert!(matches!(answer, Err(Broken::Cut(_))), "{answer:?}");
}

#[test]
fn a_clean_end_is_said_to_be_one() {
    let upstream = Upstream::start(script::answers("whole"));
    let authority = Authority::new();
    let mut settings = in_front(&upstream, &authority);
    settings.listeners[0].limits.idle = Duration::from_millis(20);
    let proxy = Running::start(settings);
    let mut secure = Secure::connect(proxy.address(), "web.test", &authority.client(None)).unwrap();
    assert_eq!(secure.get("/").unwrap().text(), "whole");
    // rustls makes an error of an end without a word (RFC 8446 §6.1).
    assert_eq!(secure.0.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn tunnels_carry_tls_on_both_sides() {
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let (mut from, mut to) = (peer.stream(), peer.stream());
        let _ = std::io::copy(&mut from, &mut to);
    });
    let authority = Authority::new();
    let behind = in_front_of(upstream.address(), authority.server("up.test", None));
    let mut settings = settings(behind);
    settings.listeners[0].tls = with([authority.sign(&["web.test"])]);
    settings.upstreams[0].tls = believing(&authority);
    let proxy = Running::start(settings);
    let mut secure = Secure::connect(proxy.address(), "web.test", &authority.client(None)).unwrap();
    let head = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    secure.0.write_all(head).unwrap();
    let answer = locum_testkit::Reader::new(&mut secure.0).response_head("GET").unwrap();
    assert_eq!(answer.0.status, 101);
    for size in [1, 100, 50_000] {
        let sent: Vec<u8> = large()[..size].to_vec();
        secure.0.write_all(&sent).unwrap();
        let mut back = vec![0; size];
        secure.0.read_exact(&mut back).unwrap();
        assert_eq!(back, sent);
    }
}

/// What a client is told of an upstream like this.
fn told_of(endpoint: SocketAddr, tls: Option<ClientSettings>) -> (u16, String, String) {
    let mut settings = settings(endpoint);
    settings.upstreams[0].tls = tls;
    settings.upstreams[0].pool.connect_timeout = Duration::from_millis(500);
    let proxy = Running::start(settings);
    let answer = Client::connect(proxy.address()).get("/").unwrap();
    let error = answer.headers.get("proxy-status").unwrap_or_default();
    let error = error.trim_start_matches("locum; error=").split(';').next().unwrap_or_default();
    (answer.status, error.to_owned(), answer.text())
}

#[test]
fn an_upstream_that_is_not_who_it_should_be_gets_no_request() {
    let upstream = Upstream::start(script::answers("hello"));
    let (authority, stranger) = (Authority::new(), Authority::new());
    let up = in_front_of(upstream.address(), authority.server("up.test", None));

    let (status, error, detail) = told_of(up, believing(&stranger));
    assert_eq!((status, &*error), (502, "tls_certificate_error"));
    assert!(detail.contains("UnknownIssuer"), "{detail}");

    let other = ClientSettings {
        server_name: Some("other.test".to_owned()),
        ..believing(&authority).unwrap()
    };
    let (status, error, detail) = told_of(up, Some(other));
    assert_eq!((status, &*error), (502, "tls_certificate_error"));
    assert!(detail.contains("other.test"), "{detail}");

    // Found by its address, it would have to have that in its certificate.
    let unnamed = ClientSettings { server_name: None, ..believing(&authority).unwrap() };
    assert_eq!(told_of(up, Some(unnamed)).0, 502);
    let plain = Upstream::start(|peer| peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let (status, error, _) = told_of(plain.address(), believing(&authority));
    assert_eq!((status, &*error), (502, "tls_protocol_error"));
    let (status, error, detail) = told_of(upstream.address(), believing(&authority));
    assert_eq!((status, &*error), (502, "connection_terminated"), "it closes");
    assert!(detail.contains("the connection broke"), "{detail}");
    assert_eq!(upstream.deliveries(), 0);
    assert_eq!(told_of(up, believing(&authority)).0, 200);
}

#[test]
fn a_handshake_with_an_upstream_has_as_long_as_a_connection_may_take() {
    let silent = Upstream::start(|peer| peer.wait_for_close());
    let authority = Authority::new();
    let (status, error, _) = told_of(silent.address(), believing(&authority));
    assert_eq!((status, &*error), (504, "connection_timeout"));
}

#[test]
fn an_upstream_that_asks_who_we_are_is_shown() {
    let upstream = Upstream::start(script::answers("hello"));
    let (authority, clients) = (Authority::new(), Authority::new());
    let up = in_front_of(upstream.address(), authority.server("up.test", Some(&clients)));
    let tls = ClientSettings {
        identity: Some(clients.sign(&["locum.test"])),
        ..believing(&authority).unwrap()
    };
    assert_eq!(told_of(up, Some(tls.clone())).0, 200);
    assert_eq!(told_of(up, believing(&authority)).0, 502);
    let stranger = ClientSettings { identity: Some(authority.sign(&["locum.test"])), ..tls };
    assert_eq!(told_of(up, Some(stranger)).0, 502);
}

#[test]
fn only_clients_with_a_certificate_are_let_in_where_one_is_required() {
    let upstream = Upstream::start(script::answers("hello"));
    let (authority, clients) = (Authority::new(), Authority::new());
    let mut settings = in_front(&upstream, &authority);
    settings.listeners[0].tls.as_mut().unwrap().client_ca = Some(clients.pem.clone());
    let allow = vec!["alice".to_owned(), "spiffe://test/carol".to_owned()];
    settings.auth.push(("people".to_owned(), auth::Kind::Mtls { allow }.into()));
    let proxy = Running::start(settings.clone());
    let ask = |identity: Option<&Identity>| {
        let config = authority.client(identity);
        Secure::connect(proxy.address(), "web.test", &config)
            .map_err(|_| Broken::Closed)?
            .get("/")
            .map(|answer| answer.status)
    };
    let named = |name: &str, uri: Option<&str>| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names =
            uri.map(|uri| SanType::URI(uri.try_into().unwrap())).into_iter().collect();
        clients.sign_params(&params)
    };
    let alice = named("alice", None);
    assert_eq!(ask(Some(&alice)), Ok(200));
    assert!(ask(None).is_err());
    proxy.counts(REFUSED, 1);
    assert!(ask(Some(&authority.sign(&["alice"]))).is_err(), "of another authority");
    proxy.counts(REFUSED, 2);
    assert_eq!(upstream.deliveries(), 1);

    // Whoever comes back by a ticket is who he was.
    let config = authority.client(Some(&alice));
    let kind = || {
        let mut secure = Secure::connect(proxy.address(), "web.test", &config).unwrap();
        secure.get("/").map(|answer| (answer.status, secure.0.conn.handshake_kind().unwrap()))
    };
    assert_eq!(kind(), Ok((200, HandshakeKind::Full)));
    assert_eq!(kind(), Ok((200, HandshakeKind::Resumed)));

    // Who they are decides where a route asks.
    settings.routes[0].auth.push("people".to_owned());
    proxy.reload(settings);
    let bob = named("bob", None);
    eventually("the reload is followed", || ask(Some(&bob)) == Ok(403));
    assert_eq!(kind(), Ok((200, HandshakeKind::Resumed)));
    assert_eq!(ask(Some(&alice)), Ok(200));
    assert_eq!(ask(Some(&named("bob", Some("spiffe://test/carol")))), Ok(200));
    assert_eq!(ask(Some(&named("alice", Some("spiffe://test/bob")))), Ok(403), "the URI counts");
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let mut settings = in_front(&upstream, &authority);
    settings.listeners[0].tls =
        with([authority.sign(&["first.test"]), authority.sign(&["*.second.test"])]);
    let proxy = Running::start(settings);
    let config = authority.client(None);
    for (asked, names) in [("first.test", "first.test"), ("a.second.test", "*.second.test")] {
        let mut secure = Secure::connect(proxy.address(), asked, &config).unwrap();
        assert_eq!(secure.names(), [names]);
        assert_eq!(secure.get("/").unwrap().status, 200);
    }
    let error = Secure::connect(proxy.address(), "third.test", &config).err().unwrap();
    assert!(error.to_string().contains("first.test"), "it is shown the first: {error}");
}

#[test]
fn versions_below_the_least_are_not_spoken() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let mut settings = in_front(&upstream, &authority);
    settings.listeners[0].tls.as_mut().unwrap().min = Version::Tls13;
    let strict = Running::start(settings.clone());
    settings.listeners[0].tls.as_mut().unwrap().min = Version::Tls12;
    let lenient = Running::start(settings);
    let old = authority.old_client();
    let mut secure = Secure::connect(lenient.address(), "web.test", &old).unwrap();
    assert_eq!(secure.get("/").unwrap().status, 200);
    assert!(Secure::connect(strict.address(), "web.test", &old).is_err());
    strict.counts(REFUSED, 1);
}

#[test]
fn whoever_offers_only_other_protocols_is_turned_down_by_the_handshake() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let proxy = Running::start(in_front(&upstream, &authority));
    let offering = |protocols: &[&[u8]]| {
        let mut config = (*authority.client(None)).clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Secure::connect(proxy.address(), "web.test", &config.into())
    };
    let both = offering(&[b"http/1.1", b"h2"]).unwrap();
    assert_eq!(both.0.conn.alpn_protocol(), Some(&b"h2"[..]), "the listener chooses");
    let one = offering(&[b"http/1.1"]).unwrap();
    assert_eq!(one.0.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let error = offering(&[b"spdy/3"]).err().unwrap();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn a_client_without_tls_is_told_so_in_plain_http() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let proxy = Running::start(in_front(&upstream, &authority));
    let mut client = Client::connect(proxy.address());
    let answer = client.get("/").unwrap();
    assert_eq!((answer.status, answer.closes()), (400, true));
    assert!(answer.json()["detail"].as_str().unwrap().contains("https://"));
    assert!(client.is_closed());
    proxy.counts(REFUSED, 1);
}

#[test]
fn garbage_in_place_of_a_handshake_ends_the_connection() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let proxy = Running::start(in_front(&upstream, &authority));
    let hello_of_zeroes = [&[0x16, 3, 1, 0, 200][..], &[0; 200]].concat();
    let endless_hello = [&[0x16, 3, 1, 64, 0, 1, 255, 255, 255][..], &[0; 16_379]].concat();
    let cases: [&[u8]; 5] = [
        &[0; 64],
        &[0xff; 70_000],
        b"{\"method\":\"Arith.Multiply\"}",
        &hello_of_zeroes,
        &endless_hello,
    ];
    for (at, garbage) in cases.into_iter().enumerate() {
        let mut client = Client::connect(proxy.address());
        client.send(garbage);
        client.half_close();
        let mut end = Vec::new();
        let _ = client.reader().stream().read_to_end(&mut end);
        assert!(end.is_empty() || end[0] == 0x15, "nothing but an alert: {end:?}");
        proxy.counts(REFUSED, at as u64 + 1);
    }
    // A connection that is only looked at, as by what checks whether the port is open, is no failure.
    drop(Client::connect(proxy.address()));
    assert_eq!(dial(&proxy, &authority).get("/").unwrap().status, 200);
    proxy.counts(REFUSED, 5);
}

#[test]
fn a_slow_handshake_is_given_as_long_as_a_head_and_holds_up_nobody() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let hand = Hand::new();
    let options =
        Options { workers: 1, clock: ClockSource::Hand(hand.clone()), ..Options::default() };
    let proxy = Running::start_with(in_front(&upstream, &authority), options);
    let mut slow = [Client::connect(proxy.address()), Client::connect(proxy.address())];
    slow[1].send([0x16, 3, 1, 0, 200, 1, 0]);
    assert_eq!(dial(&proxy, &authority).get("/").unwrap().status, 200);
    eventually("both are given up", || {
        hand.move_to(hand.now() + Duration::from_secs(1));
        proxy.metrics().contains(&format!("{REFUSED} 2\n"))
    });
    assert!(hand.now().as_nanos() >= 10_000_000_000, "too early: {:?}", hand.now());
    assert!(slow.iter_mut().all(Client::is_closed));
}

#[test]
fn a_listener_that_is_full_closes_without_a_handshake() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let mut settings = in_front(&upstream, &authority);
    settings.listeners[0].limits.connections = 1;
    let proxy = Running::start(settings);
    let mut first = Secure::connect(proxy.address(), "web.test", &authority.client(None)).unwrap();
    assert!(Secure::connect(proxy.address(), "web.test", &authority.client(None)).is_err());
    assert_eq!(first.get("/").unwrap().status, 200);
}

#[test]
fn new_certificates_are_shown_to_new_clients_and_others_go_on() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let mut settings = in_front(&upstream, &authority);
    let proxy = Running::start(settings.clone());
    let config = authority.client(None);
    let connect = || Secure::connect(proxy.address(), "web.test", &config).unwrap();
    let mut first = connect();
    assert_eq!(first.get("/").unwrap().status, 200);

    settings.listeners[0].tls = with([authority.sign(&["web.test", "renewed.test"])]);
    proxy.reload(settings);
    eventually("the reload is followed", || connect().names().len() == 2);
    assert_eq!(first.get("/").unwrap().status, 200, "it stays as it was");
    assert_eq!(first.names(), ["web.test"]);
}

#[test]
fn a_client_that_comes_back_is_spared_a_handshake_as_long_as_nothing_changed() {
    let upstream = Upstream::start(script::answers("hello"));
    let authority = Authority::new();
    let mut settings = in_front(&upstream, &authority);
    // Two workers: whichever it comes to.
    let options = Options { workers: 2, ..Options::default() };
    let proxy = Running::start_with(settings.clone(), options);
    for config in [authority.client(None), authority.old_client()] {
        let kind = || {
            let mut secure = Secure::connect(proxy.address(), "web.test", &config).unwrap();
            assert_eq!(secure.get("/").unwrap().status, 200);
            secure.0.conn.handshake_kind().unwrap()
        };
        assert_eq!(kind(), HandshakeKind::Full);
        assert!((0..8).all(|_| kind() == HandshakeKind::Resumed));
        settings.listeners[0].limits.headers += 1;
        proxy.reload(settings.clone());
        assert!((0..8).all(|_| kind() == HandshakeKind::Resumed), "the certificates are the same");
    }
    settings.listeners[0].tls = with([authority.sign(&["web.test"])]);
    proxy.reload(settings);
    let config = authority.client(None);
    eventually("tickets end with the certificates", || {
        let fresh = Secure::connect(proxy.address(), "web.test", &config).unwrap();
        fresh.0.conn.handshake_kind() == Some(HandshakeKind::Full)
    });
}

#[test]
fn an_upstream_under_other_tls_is_dialled_anew() {
    let upstream = Upstream::start(script::answers("hello"));
    let (authority, stranger) = (Authority::new(), Authority::new());
    let up = in_front_of(upstream.address(), authority.server("up.test", None));
    let mut settings = settings(up);
    settings.upstreams[0].tls = believing(&authority);
    let proxy = Running::start(settings.clone());
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").unwrap().status, 200);
    settings.upstreams[0].tls = believing(&stranger);
    proxy.reload(settings);
    eventually("a kept connection is not used for whom we no longer believe", || {
        client.get("/").unwrap().status == 502
    });
}

#[test]
fn a_black_hole_under_tls_is_one_as_any_other() {
    let hole = BlackHole::open();
    let authority = Authority::new();
    let (status, error, _) = told_of(hole.address(), believing(&authority));
    assert_eq!((status, &*error), (504, "connection_timeout"));
}
