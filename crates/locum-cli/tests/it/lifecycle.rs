//! Start, reload, drain, stop.

use std::net::TcpListener;

use locum_testkit::{Client, Gate, Load, Signal, Upstream, eventually, run_to_end, script};

use crate::setup::{Config, binary, locum};

#[test]
fn the_ready_file_names_what_listens_and_readyz_agrees() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    assert_eq!(locum.get("/").text(), "ok");
    assert_eq!(locum.admin("/healthz").status, 200);
    assert_eq!(locum.admin("/readyz").status, 200);
    let status = locum.admin("/api/v1/status").json();
    assert!(status["version"].is_string(), "{status}");
}

#[test]
fn a_hundred_reloads_under_load_fail_nothing_and_close_nothing() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = |n: usize| {
        let rate = format!("rate_limit = {{ rate = \"{}/s\", burst = 1000000 }}", 1_000_000 + n);
        Config::to(&upstream).policy(&rate).to_string()
    };
    let locum = locum().config(config(0)).start();
    let mut idle: Vec<_> = (0..50).map(|_| locum.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    let load = Load::get(locum.address("web"), "/");
    let (report, ()) = load.during(|| (1..=100).for_each(|n| locum.reload(&config(n))));
    assert_eq!((report.failed(), report.closed_idle), (0, 0), "{report:?}");
    assert!(report.ok() > 100, "{report:?}");
    for client in &mut idle {
        assert_eq!(client.get("/").unwrap().status, 200, "the same connection as before");
    }
    assert_eq!(locum.reloads(), 100.0);
}

#[test]
fn a_reload_refuses_no_new_connection() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream).to_string();
    let locum = locum().config(config.clone()).start();
    let load = Load::get(locum.address("web"), "/").clients(2).new_connections();
    let (report, ()) = load.during(|| (0..20).for_each(|_| locum.reload(&config)));
    assert_eq!(report.failed(), 0, "{report:?}");
}

#[test]
fn a_reload_takes_effect_on_open_connections() {
    let (old, new) =
        (Upstream::start(script::answers("old")), Upstream::start(script::answers("new")));
    let locum = Config::to(&old).start();
    let mut client = locum.client();
    assert_eq!(client.get("/").unwrap().text(), "old");
    locum.reload(&Config::to(&new).to_string());
    assert_eq!(client.get("/").unwrap().text(), "new");
}

#[test]
fn what_did_not_change_keeps_its_state_over_a_reload() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream).policy("rate_limit = { rate = \"1/min\", burst = 1 }");
    let locum = config.start();
    assert_eq!(locum.get("/").status, 200);
    assert_eq!(locum.get("/").status, 429);
    locum.reload(&config.route("max_body = \"1MiB\"").to_string());
    assert_eq!(locum.get("/").status, 429, "the bucket is as empty as before");
}

#[test]
fn a_reload_to_a_bad_file_keeps_the_old_plan() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    let locum = config.start();
    let version = locum.metric("locum_plan_version", &[]);
    locum.reload(&config.clone().route("policy = \"nowhere\"").to_string());
    assert_eq!(locum.get("/").text(), "ok");
    locum.counts("locum_plan_version", &[], version);
    assert!(locum.log().contains("nowhere"), "{}", locum.log());
    let status = locum.admin("/api/v1/status").text();
    assert!(status.contains("nowhere"), "{status}");
    locum.reload(&config.to_string());
    assert_eq!(locum.get("/").text(), "ok");
}

const ANN: &str = "ann:ca64daa8b294dc4835d29ca02a6a47427ebc6a225ea3ac2e15f8417fb6601db2\n";

#[test]
fn keys_that_are_replaced_count_without_a_reload_of_what_names_them() {
    const BEN: &str = "ben:37f550767902f9edd26b5572672dfe734f26baa32a94f4fb26cef116e2ea636f\n";
    let upstream = Upstream::start(script::answers("ok"));
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys.txt");
    std::fs::write(&keys, ANN).unwrap();
    let auth = format!("[auth.keys]\nkind = \"api-key\"\nfile = {:?}", keys.to_str().unwrap());
    let locum = Config::to(&upstream).route("auth = [\"keys\"]").and(&auth).start();
    let status_of = |key: &str| {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: {key}\r\n\r\n"));
        client.response("GET").unwrap().status
    };
    assert_eq!((status_of("key-of-ann"), status_of("key-of-ben")), (200, 401));

    // Whoever writes the configuration is not done yet.
    locum.write_config("nonsense");
    std::fs::write(&keys, BEN).unwrap();
    // Each worker takes them when it comes to it.
    eventually("the new key counts", || status_of("key-of-ben") == 200);
    eventually("the old one does not", || status_of("key-of-ann") == 401);

    std::fs::write(&keys, "not a key").unwrap();
    eventually("the mistake is told", || locum.log().contains("line 1: it is not `name:hash`"));
    assert_eq!(status_of("key-of-ben"), 200, "the old keys count on");
}

#[test]
fn a_reload_that_failed_for_a_file_it_names_is_made_up_for() {
    let (old, new) =
        (Upstream::start(script::answers("old")), Upstream::start(script::answers("new")));
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys.txt");
    std::fs::write(&keys, "not a key").unwrap();
    let auth = format!("[auth.keys]\nkind = \"api-key\"\nfile = {:?}", keys.to_str().unwrap());
    let locum = Config::to(&old).start();
    locum.reload(&Config::to(&new).route("auth = [\"keys\"]").and(&auth).to_string());
    assert_eq!(locum.get("/").text(), "old");

    let before = locum.reloads();
    std::fs::write(&keys, ANN).unwrap();
    eventually("the mended file is read", || locum.reloads() > before);
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: key-of-ann\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().text(), "new");
}

#[test]
fn a_watched_file_is_reloaded_when_it_changes() {
    let (old, new) =
        (Upstream::start(script::answers("old")), Upstream::start(script::answers("new")));
    let locum = locum().config(Config::to(&old).to_string()).arguments(&["--watch"]).start();
    assert_eq!(locum.get("/").text(), "old");
    locum.write_config(&Config::to(&new).to_string());
    eventually("the new file is in force", || locum.get("/").text() == "new");
}

#[test]
fn sigterm_under_load_fails_nothing_and_exits_0() {
    let upstream = Upstream::start(script::answers("ok"));
    let mut locum = Config::to(&upstream).start();
    let load = Load::get(locum.address("web"), "/").one_connection_each();
    let (report, status) = load.during(|| {
        eventually("the load runs", || load.sent() > 500);
        locum.signal(Signal::TERM);
        locum.wait()
    });
    assert!(status.success(), "{status}");
    assert_eq!(report.failed(), 0, "{report:?}");
    assert!(report.ok() > 400, "{report:?}");
}

#[test]
fn sigterm_waits_for_what_is_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Upstream::start(move |peer| {
            if let Some(request) = peer.request() {
                held.wait();
                peer.answer(&request, b"late");
            }
        });
        let mut locum = Config::to(&upstream).start();
        let address = locum.address("web");
        let mut client = locum.client();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        eventually("the call is in flight", || upstream.deliveries() == 1);
        locum.signal(signal);
        eventually("no new connection is taken", || Client::try_connect(address).is_err());
        assert!(locum.is_running());
        gate.open(1);
        let answer = client.response("GET").unwrap();
        assert_eq!(answer.text(), "late");
        assert!(answer.closes());
        assert!(locum.wait().success());
    }
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let upstream = Upstream::start(script::answers("ok"));
    let mut locum = Config::to(&upstream).start();
    let mut client = locum.client();
    assert_eq!(client.get("/").unwrap().status, 200);
    locum.signal(Signal::TERM);
    assert!(locum.wait().success());
}

#[test]
fn the_drain_has_an_end() {
    let upstream = Upstream::start(script::hangs());
    let mut locum = Config::to(&upstream).and("[runtime]\ndrain = \"300ms\"").start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("the call is in flight", || upstream.deliveries() == 1);
    locum.signal(Signal::TERM);
    locum.wait();
}

#[test]
fn a_second_signal_ends_it_now() {
    let upstream = Upstream::start(script::hangs());
    let mut locum = Config::to(&upstream).and("[runtime]\ndrain = \"1h\"").start();
    let address = locum.address("web");
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("the call is in flight", || upstream.deliveries() == 1);
    locum.signal(Signal::TERM);
    eventually("it drains", || Client::try_connect(address).is_err());
    assert!(locum.is_running());
    locum.signal(Signal::TERM);
    locum.wait();
}

#[test]
fn after_kill_9_it_starts_again_on_the_same_port() {
    let upstream = Upstream::start(script::answers("ok"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Config::to(&upstream)
        .to_string()
        .replace("127.0.0.1:0\"\nprotocol", &format!("{port}\"\nprotocol"));
    for _ in 0..5 {
        let mut locum = locum().config(config.clone()).start();
        assert_eq!(locum.address("web"), port);
        let mut client = locum.client();
        assert_eq!(client.get("/").unwrap().text(), "ok");
        locum.signal(Signal::KILL);
        assert!(!locum.wait().success());
    }
}

#[test]
fn the_embedded_default_does_what_it_promises() {
    let ports = ["--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let locum = locum().arguments(&ports).start();
    let mut client = Client::connect(locum.address("http"));

    let welcome = client.get("/").unwrap();
    assert_eq!(welcome.status, 200);
    assert!(welcome.headers.get("content-type").unwrap().starts_with("text/html"));
    for name in ["rpc", "admin"] {
        let address = locum.address(name).to_string();
        assert!(welcome.text().contains(&address), "{name} {address} in {}", welcome.text());
    }
    assert!(!welcome.text().contains("{rpc}"), "every name is filled in");

    let echo = client.post("/echo?a=b", b"hello").unwrap().json();
    assert_eq!(echo["method"], "POST");
    let shown = echo.to_string().to_lowercase();
    assert!(shown.contains("x-forwarded-by") && shown.contains("locum"), "{echo}");
    assert!(shown.contains("hello"), "{echo}");

    assert_eq!(client.get("/status/418").unwrap().status, 418);
    assert_eq!(client.get("/bytes/100000").unwrap().body.len(), 100_000);
    assert_eq!(client.get("/delay/1").unwrap().status, 200);
    assert_eq!(client.get("/delay/5000").unwrap().status, 504);

    let mut events = Client::connect(locum.address("http"));
    events.send("GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let (head, _) = events.reader().response_head("GET").unwrap();
    assert_eq!(head.headers.get("content-type"), Some("text/event-stream"));
    assert!(!events.reader().chunk().unwrap().unwrap().is_empty());

    eventually("the breaker opens", || {
        let answer = client.get("/flaky?rate=0.9").unwrap();
        answer.status == 503 && answer.text().contains("breaker")
    });

    // Before anything is called.
    let listing = client.get("/rpc").unwrap().json();
    let told = |method: &&str| {
        let post = &listing["paths"][format!("/{method}")]["post"];
        post["requestBody"]["content"]["application/json"]["schema"] != serde_json::json!({})
    };
    assert_eq!(listing["paths"].as_object().unwrap().len(), METHODS.len(), "{listing}");
    assert!(METHODS.iter().all(told), "{listing}");

    let rpc = locum.address("rpc").to_string();
    let call = |protocol: &str, method: &str, argument: &str| {
        run_to_end(binary(), &["call", &rpc, method, argument, "--protocol", protocol])
    };
    for protocol in ["gob", "http", "json-rpc", "json-rpc2", "native"] {
        let product = call(protocol, "Arith.Multiply", r#"{"A":7,"B":8}"#);
        assert_eq!(product.output, "56\n", "{protocol}: {}", product.errors);
        let failed = call(protocol, "Arith.Divide", r#"{"A":7,"B":0}"#);
        assert_eq!((failed.code, &*failed.errors), (Some(1), "error: divide by zero\n"));
    }
    // Sorted by name.
    let shown = |path: &str| locum.admin(path).json();
    assert_eq!(shown("/api/v1/listeners")[1]["protocol"], "rpc");
    assert_eq!(shown("/api/v1/upstreams")[1]["protocol"], "gob");
    let routes = shown("/api/v1/routes");
    let matched = routes.as_array().unwrap().iter().map(|route| &route["match"]["call"]);
    let matched = matched.filter(|call| call.is_string()).collect::<Vec<_>>();
    assert_eq!(matched, ["Arith.*", "Echo.*", "Locum.*"]);

    let listed = run_to_end(binary(), &["list", &rpc]);
    let methods = listed.output.lines().filter_map(|line| line.split_whitespace().next());
    let own = |method: &&str| !method.starts_with("Locum.");
    assert_eq!(methods.filter(own).collect::<Vec<_>>(), METHODS, "{}", listed.errors);

    let product = client.post("/rpc/Arith.Multiply", br#"{"A":7,"B":8}"#).unwrap();
    assert_eq!((product.status, &*product.text()), (200, "56"));

    let metrics = locum.metrics();
    for family in [
        "locum_calls_total",
        "locum_call_duration_seconds",
        "locum_attempts_total",
        "locum_policy_decisions_total",
        "locum_breaker_state",
        "locum_breaker_transitions_total",
        "locum_connections",
        "locum_upstream_connections",
        "locum_bytes_total",
        "locum_plan_version",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(family)), "{family} in\n{metrics}");
    }
    assert!(locum.metric("locum_calls_total", &[("code", "418")]) >= 1.0, "{metrics}");
}

/// What the demo backends of remote calls serve.
const METHODS: [&str; 7] = [
    "Arith.Multiply",
    "Arith.Divide",
    "Arith.Add",
    "Echo.Say",
    "Echo.Sleep",
    "Echo.Fail",
    "Echo.Blob",
];

#[test]
fn the_environment_sets_the_ports_of_the_embedded_default() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, rpc) = (free(), free());
    let address = |listener: TcpListener| listener.local_addr().unwrap();
    let (port, rpc) = (address(port), address(rpc));
    let locum = locum()
        .environment("LOCUM_HTTP", &port.to_string())
        .environment("LOCUM_RPC", &rpc.to_string())
        .environment("LOCUM_ADMIN", "127.0.0.1:0")
        .start();
    assert_eq!((locum.address("http"), locum.address("rpc")), (port, rpc));
}

#[test]
fn a_one_line_proxy_forwards_to_one_host() {
    let upstream = Upstream::start(script::echoes());
    let to = format!("http://{}", upstream.address());
    let arguments = ["--to", &to, "--listen", "127.0.0.1:0", "--header", "X-Extra: yes"];
    let locum = locum().command("proxy").arguments(&arguments).start();
    let answer = locum.get("/some/path?q=1").json();
    assert_eq!(answer["target"], "/some/path?q=1");
    let received = upstream.received();
    let headers = &received[0].request.headers;
    assert_eq!(headers.get("x-forwarded-by"), Some("locum"));
    assert_eq!(headers.get("x-extra"), Some("yes"));
}

#[test]
fn a_one_line_proxy_forwards_remote_calls() {
    let ports = ["--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let demo = locum().arguments(&ports).start();
    let to = format!("gob://{}", demo.address("rpc"));
    let arguments = ["--to", &to, "--listen", "127.0.0.1:0"];
    let locum = locum().command("proxy").arguments(&arguments).start();
    let address = locum.address("web").to_string();
    let product = run_to_end(binary(), &["call", &address, "Arith.Add", r#"{"A":7,"B":8}"#]);
    assert_eq!(product.output, "15\n", "{}", product.errors);
    let refused = run_to_end(binary(), &["proxy", "--to", &to, "--header", "X-Extra: yes"]);
    assert_eq!(refused.code, Some(2), "{}", refused.errors);
    assert!(refused.errors.contains("no header fields"), "{}", refused.errors);
}

#[test]
fn two_listeners_may_not_have_one_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("locum.toml");
    let config = format!(
        "[listeners.web]\nbind = \"{address}\"\nprotocol = \"http\"\n\
         [upstreams.up]\nendpoints = [\"127.0.0.1:1\"]\n[[routes]]\nupstream = \"up\"\n"
    );
    std::fs::write(&file, config).unwrap();
    let ended = run_to_end(binary(), &["run", "-c", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains(&address.to_string()), "{}", ended.errors);
}

#[test]
fn an_access_log_that_was_moved_away_is_begun_anew() {
    let upstream = Upstream::start(script::answers("ok"));
    let directory = tempfile::tempdir().unwrap();
    let (file, moved) =
        (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let log = format!("[log]\naccess = {:?}", file.to_str().unwrap());
    let locum = Config::to(&upstream).and(&log).start();
    let has = |file: &std::path::Path, path: &str| {
        std::fs::read_to_string(file).is_ok_and(|text| text.contains(path))
    };
    locum.get("/before");
    eventually("it is logged", || has(&file, "/before"));
    std::fs::rename(&file, &moved).unwrap();
    locum.signal(Signal::USR1);
    eventually("the file is there again", || file.exists());
    locum.get("/after");
    eventually("it is logged", || has(&file, "/after"));
    assert!(has(&moved, "/before") && !has(&moved, "/after"));
}
