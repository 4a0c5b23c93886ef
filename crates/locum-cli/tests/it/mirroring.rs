//! Calls that are made once more, for nobody.

use locum_testkit::{Gate, Upstream, script};

use crate::setup::Config;

fn mirrored(main: &Upstream, shadow: &Upstream, mirror: &str) -> Config {
    let address = shadow.address();
    Config::to(main)
        .route(&format!("mirror = {{ upstream = \"shadow\"{mirror} }}"))
        .and(&format!("[upstreams.shadow]\nendpoints = [\"{address}\"]"))
}

#[test]
fn a_copy_is_the_call_and_delays_nothing() {
    let (main, gate) = (Upstream::start(script::answers("ok")), Gate::new());
    let shadow = Upstream::start({
        let gate = gate.clone();
        move |peer| {
            gate.wait();
            let Some(request) = peer.request() else { return };
            peer.answer(&request, b"thrown away");
        }
    });
    let locum = mirrored(&main, &shadow, "").start();
    let mut client = locum.client();
    assert_eq!(client.post("/a?b=c", b"body").unwrap().text(), "ok");
    let chunked = "POST /chunks HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    // The shadow has answered nothing yet.
    assert_eq!(client.response("POST").unwrap().text(), "ok");
    assert_eq!(client.get("/").unwrap().text(), "ok");
    gate.open(3);
    locum.counts("locum_mirrored_total", &[("upstream", "shadow"), ("outcome", "success")], 3.0);
    let mut copies: Vec<_> = shadow.received();
    copies.sort_by_key(|copy| copy.request.target.clone());
    let told: Vec<_> = copies
        .iter()
        .map(|copy| (&*copy.request.method, &*copy.request.target, &*copy.request.body))
        .collect();
    let expected: [(&str, &str, &[u8]); 3] =
        [("GET", "/", b""), ("POST", "/a?b=c", b"body"), ("POST", "/chunks", b"abcde")];
    assert_eq!(told, expected);
    assert_eq!(shadow.violations(), Vec::<String>::new());
    assert!(copies.iter().all(|copy| copy.request.headers.has("x-forwarded-for")));
}

#[test]
fn what_cannot_be_copied_is_left_out_and_what_fails_is_counted() {
    let main = Upstream::start(script::answers("ok"));
    let shadow = Upstream::start(script::resets());
    let locum = mirrored(&main, &shadow, "").start();
    let mut client = locum.client();
    assert_eq!(client.post("/", &vec![b'x'; 65 << 10]).unwrap().text(), "ok");
    client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.response("HEAD").unwrap().status, 200);
    locum.counts("locum_mirrored_total", &[("outcome", "skipped")], 2.0);
    assert_eq!(shadow.accepted(), 0);
    assert_eq!(client.post("/", &vec![b'x'; 64 << 10]).unwrap().text(), "ok");
    locum.counts("locum_mirrored_total", &[("outcome", "failure")], 1.0);
}

#[test]
fn copies_under_way_are_bounded() {
    let main = Upstream::start(script::answers("ok"));
    let shadow = Upstream::start(script::hangs());
    let locum = mirrored(&main, &shadow, "").and("[runtime]\nworkers = 1").start();
    let mut client = locum.client();
    for _ in 0..70 {
        assert_eq!(client.get("/").unwrap().text(), "ok");
    }
    locum.counts("locum_mirrored_total", &[("outcome", "full")], 6.0);
}

#[test]
fn a_share_of_calls_is_copied() {
    let main = Upstream::start(script::answers("ok"));
    let shadow = Upstream::start(script::answers("ok"));
    let locum = mirrored(&main, &shadow, ", percent = 30").start();
    let mut client = locum.client();
    for _ in 0..300 {
        assert_eq!(client.get("/").unwrap().text(), "ok");
    }
    shadow.settle();
    let copies = locum.metric("locum_mirrored_total", &[("upstream", "shadow")]);
    assert!((30.0..160.0).contains(&copies), "{copies}");
}
