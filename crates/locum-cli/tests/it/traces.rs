//! What a collector of OpenTelemetry is told of calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use locum_testkit::{
    Client, Collector, Gate, Grpc, Load, Locum, Signal, Upstream, eventually, refused, run_to_end,
    script,
};
use serde_json::Value;

use crate::setup::{Config, binary, demo};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector, told as its protocol is.
fn told(config: &Config, otlp: &str) -> Config {
    config.clone().and(&format!("[telemetry]\notlp = \"{otlp}\""))
}

fn get(locum: &Locum, target: &str, fields: &str) -> u16 {
    let mut client = locum.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a.test:81\r\n{fields}\r\n"));
    client.response("GET").unwrap().status
}

/// What attempts told the upstream of their place in a trace.
fn told_upstream(upstream: &Upstream) -> Vec<Option<String>> {
    let said =
        |it: &locum_testkit::Received| it.request.headers.get("traceparent").map(str::to_owned);
    upstream.received().iter().map(said).collect()
}

fn of_kind(spans: &[Value], kind: u64) -> Vec<Value> {
    spans.iter().filter(|span| span["kind"] == kind).cloned().collect()
}

#[test]
fn a_call_is_a_span_with_its_attempts_below_it() {
    let Some(collector) = Collector::start() else { return };
    for (otlp, way) in [
        (format!("http://{}", collector.grpc), "grpc"),
        (format!("http://{}/v1/traces", collector.http), "http"),
    ] {
        let before = collector.spans().len();
        let upstream = Upstream::start(script::fails_first(1, "503 Service Unavailable"));
        let config = Config::to(&upstream)
            .route("match = { path = \"/users/{id}\" }\nrewrite = { path = \"/people/{id}\" }")
            .policy("retry = { attempts = 2, base = \"1ms\" }\nbreaker = {}\nrate_limit = { rate = \"1000/s\" }");
        let locum = told(&config, &otlp)
            .and("headers = { x-scope = \"tests\" }\nservice = \"edge\"")
            .and("[log]\naccess = \"stdout\"")
            .start();
        let fields = format!(
            "Traceparent: 00-{TRACE}-{PARENT}-01\r\nTracestate: a=b\r\nAuthorization: Bearer tiger\r\n\
             X-Request: tiger\r\n"
        );
        assert_eq!(get(&locum, "/users/7?api_key=tiger&page=2", &fields), 200);

        let spans = collector.wait_for(before + 3)[before..].to_vec();
        assert_eq!(spans.len(), 3, "{spans:#?}");
        for span in &spans {
            assert_eq!((&span["trace"], &span["way"]), (&TRACE.into(), &way.into()));
            assert_eq!(span["headers"]["x-scope"], "tests");
            assert_eq!(span["resource"]["service.name"], "edge");
            assert_eq!(span["scope"], "locum");
            assert!(!span.to_string().contains("tiger"), "{span:#}");
        }

        let [call] = &of_kind(&spans, 2)[..] else { panic!("{spans:#?}") };
        assert_eq!((&call["name"], &call["parent"]), (&"GET /users/{id}".into(), &PARENT.into()));
        assert_eq!((&call["status"], &call["flags"]), (&0.into(), &0x301.into()));
        for (key, value) in [
            ("http.request.method", Value::from("GET")),
            ("http.route", "/users/{id}".into()),
            ("url.scheme", "http".into()),
            ("url.path", "/users/7".into()),
            ("url.query", "api_key=REDACTED&page=2".into()),
            ("server.address", "a.test".into()),
            ("server.port", 81.into()),
            ("client.address", "127.0.0.1".into()),
            ("network.peer.address", "127.0.0.1".into()),
            ("network.protocol.version", "1.1".into()),
            ("http.response.status_code", 200.into()),
            ("locum.listener", "web".into()),
            ("locum.route", "all".into()),
            ("locum.upstream", "up".into()),
            ("locum.outcome", "success".into()),
        ] {
            assert_eq!(call["attributes"][key], value, "{key}: {call:#}");
        }
        let steps = |kind: &str, name: &str| {
            let events = call["events"].as_array().unwrap().iter();
            let is = |event: &&Value| {
                event["name"] == name && event["attributes"]["locum.policy.kind"] == kind
            };
            events.filter(is).count()
        };
        assert_eq!(steps("rate_limit", "locum.policy.admit"), 1, "{call:#}");
        assert_eq!(steps("breaker", "locum.policy.admit"), 2, "one an attempt: {call:#}");
        assert_eq!(steps("retry", "locum.policy.delay"), 1, "{call:#}");

        let attempts = of_kind(&spans, 3);
        let asked = told_upstream(&upstream);
        for (at, (kind, status, error)) in
            [("first", 503, Some("503")), ("retry", 200, None)].into_iter().enumerate()
        {
            let attempt = &attempts[at];
            let told = &attempt["attributes"];
            assert_eq!((&attempt["name"], &attempt["parent"]), (&"GET".into(), &call["span"]));
            assert_eq!(told["locum.attempt.kind"], kind);
            assert_eq!(told["locum.attempt.number"], at + 1);
            assert_eq!(told["http.response.status_code"], status);
            assert_eq!(told["error.type"].as_str(), error, "{attempt:#}");
            assert_eq!(attempt["status"], if error.is_some() { 2 } else { 0 });
            assert_eq!(told.get("http.request.resend_count").is_some(), at > 0, "{attempt:#}");
            let url = format!("http://{}/people/7?api_key=REDACTED&page=2", upstream.address());
            assert_eq!(told["url.full"], url);
            assert_eq!(told["server.port"], upstream.address().port());
            let expected = format!("00-{TRACE}-{}-01", attempt["span"].as_str().unwrap());
            assert_eq!(asked[at], Some(expected), "what the endpoint is told is this span");
            let time = |span: &Value, key: &str| span[key].as_u64().unwrap();
            assert!(time(call, "start") <= time(attempt, "start"), "{spans:#?}");
            assert!(time(attempt, "start") <= time(attempt, "end"), "{spans:#?}");
            assert!(time(attempt, "end") <= time(call, "end"), "{spans:#?}");
        }
        assert_eq!(upstream.received()[0].request.headers.get("tracestate"), Some("a=b"));

        let line: Value = serde_json::from_str(locum.output().lines().next().unwrap()).unwrap();
        assert_eq!(line["id"], call["attributes"]["locum.id"], "the log tells of the same call");
        let own = format!("00-{TRACE}-{}-01", call["span"].as_str().unwrap());
        assert_eq!(line["traceparent"], own);
        locum.counts("locum_telemetry_spans_total", &[("result", "sent")], 3.0);
        locum.counts("locum_telemetry_spans_total", &[("result", "dropped")], 0.0);
    }
}

#[test]
fn attempts_at_once_are_told_with_their_kinds_and_how_they_ended() {
    let Some(collector) = Collector::start() else { return };
    // Whoever comes first waits.
    let (gate, seen) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let upstreams = [(); 2].map(|()| {
        let (gate, seen) = (gate.clone(), Arc::clone(&seen));
        Upstream::start(move |peer| {
            while let Some(request) = peer.request() {
                if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                    gate.wait();
                }
                peer.answer(&request, b"ok");
            }
        })
    });
    let config = Config::to_addresses(upstreams.iter().map(Upstream::address))
        .policy("hedge = { delay = \"20ms\" }");
    let locum = told(&config, &format!("http://{}", collector.grpc)).start();
    assert_eq!(get(&locum, "/", ""), 200);
    let spans = collector.wait_for(3);
    gate.open(1);
    let attempts: Vec<_> = of_kind(&spans, 3)
        .iter()
        .map(|span| {
            let told = &span["attributes"];
            let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
            (text("locum.attempt.kind"), text("locum.outcome"), text("error.type"))
        })
        .collect();
    let of = |kind: &str, outcome: &str, error: &str| {
        (kind.to_owned(), outcome.to_owned(), error.to_owned())
    };
    let expected = [of("first", "cancelled", "cancelled"), of("hedge", "success", "")];
    assert_eq!(attempts, expected, "{spans:#?}");
}

#[test]
fn calls_of_grpc_are_told_in_its_words() {
    let (Some(grpc), Some(collector)) = (Grpc::find(), Collector::start()) else { return };
    let server = grpc.server();
    let config = Config::to_addresses([server.address]).upstream("protocol = \"grpc\"");
    let locum = told(&config, &format!("http://{}", collector.grpc)).start();
    grpc.check(locum.address("web"), &["unary", "broken_stream"]);
    let spans = collector.wait_for(42);
    let of = |name: &str| {
        let found = spans.iter().filter(|span| span["name"] == name);
        found.cloned().collect::<Vec<_>>()
    };
    for span in of("test.Peer/Echo") {
        let told = &span["attributes"];
        let rpc = ["rpc.system", "rpc.service", "rpc.method"].map(|key| told[key].as_str());
        assert_eq!(rpc, [Some("grpc"), Some("test.Peer"), Some("Echo")]);
        assert_eq!((&told["rpc.grpc.status_code"], &span["status"]), (&0.into(), &0.into()));
    }
    let broken = of("test.Peer/Half");
    assert_eq!((of("test.Peer/Echo").len(), broken.len()), (40, 2), "{spans:#?}");
    for span in broken {
        assert_eq!(span["attributes"]["rpc.grpc.status_code"], 15, "{span:#}");
        assert_eq!(
            (&span["attributes"]["error.type"], &span["status"]),
            (&"DATA_LOSS".into(), &2.into())
        );
    }
}

#[test]
fn a_refusal_is_told_with_what_refused() {
    let Some(collector) = Collector::start() else { return };
    let upstream = Upstream::start(script::says("500 Internal Server Error"));
    let config = Config::to(&upstream).policy("rate_limit = { rate = \"1/h\", burst = 1 }");
    let locum = told(&config, &format!("http://{}", collector.grpc)).start();
    assert_eq!((get(&locum, "/", ""), get(&locum, "/", "")), (500, 429));
    let spans = collector.wait_for(3);
    let calls = of_kind(&spans, 2);
    assert_eq!((calls.len(), spans.len()), (2, 3), "{spans:#?}");
    let of = |status: u16| {
        let mut found =
            calls.iter().filter(|call| call["attributes"]["http.response.status_code"] == status);
        found.next().unwrap_or_else(|| panic!("no {status} in {spans:#?}"))
    };
    let failed = of(500);
    assert_eq!((&failed["status"], &failed["parent"]), (&2.into(), &"".into()));
    assert_eq!(failed["attributes"]["error.type"], "500");
    // A client's own fault is no error of the server's.
    let limited = of(429);
    assert_eq!((&limited["status"], &limited["name"]), (&0.into(), &"GET".into()));
    assert_eq!(limited["attributes"]["locum.outcome"], "rejected");
    let event = &limited["events"][0];
    assert_eq!(event["name"], "locum.policy.reject");
    assert_eq!(event["attributes"]["locum.policy.name"], "careful");
    assert_eq!(event["attributes"]["locum.policy.reason"], "limited");
    assert!(event["attributes"]["locum.policy.wait"].as_f64().unwrap() > 3000.0, "{event:#}");
    assert_ne!(failed["trace"], limited["trace"], "each has begun a trace");
}

#[test]
fn what_is_not_followed_is_passed_on_and_not_told() {
    let Some(collector) = Collector::start() else { return };
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    let given = format!("00-{TRACE}-{PARENT}-00");
    let field = format!("traceparent: {given}\r\n");

    let silent = config.start();
    assert_eq!((get(&silent, "/", &field), get(&silent, "/", "")), (200, 200));
    assert_eq!(told_upstream(&upstream), [Some(given.clone()), None]);
    upstream.forget();

    let locum = told(&config, &format!("http://{}", collector.grpc)).and("ratio = 0.0").start();
    assert_eq!(get(&locum, "/", &field), 200);
    assert_eq!(told_upstream(&upstream), [Some(given)], "as it came");
    upstream.forget();
    // A trace that begins here and is told by nobody is still one.
    let malformed = "traceparent: 00-x\r\ntracestate: a=b\r\n";
    for fields in ["", malformed] {
        assert_eq!(get(&locum, "/", fields), 200);
    }
    let asked = told_upstream(&upstream);
    let is_begun = |it: &Option<String>| it.as_ref().is_some_and(|it| it.ends_with("-02"));
    assert!(asked.iter().all(is_begun) && asked[0] != asked[1], "{asked:?}");
    assert!(!upstream.received()[1].request.headers.has("tracestate"), "it was of another trace");
    // The first that arrive are of the first that is followed.
    assert_eq!(get(&locum, "/", &field.replace("-00\r", "-01\r")), 200);
    let spans = collector.wait_for(2);
    assert!(spans.iter().all(|span| span["trace"] == TRACE) && spans.len() == 2, "{spans:#?}");
}

#[test]
fn remote_calls_are_told_in_the_words_of_rpc() {
    let Some(collector) = Collector::start() else { return };
    let backend = demo();
    let config = Config::calls_to("gob", [backend.address("rpc")]);
    let locum =
        told(&config, &format!("http://{}", collector.http)).and("protocol = \"http\"").start();
    let address = locum.address("rpc").to_string();
    for (method, argument) in
        [("Arith.Multiply", "{\"A\":7,\"B\":8}"), ("Arith.Divide", "{\"A\":7,\"B\":0}")]
    {
        run_to_end(binary(), &["call", &address, method, argument, "--protocol", "json-rpc2"]);
    }
    let spans = collector.wait_for(4);
    let of = |name: &str, kind: u64| {
        let found = spans.iter().find(|span| span["name"] == name && span["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {name} in {spans:#?}")).clone()
    };
    let (call, attempt) = (of("Arith.Multiply", 2), of("Arith.Multiply", 3));
    assert_eq!(attempt["parent"], call["span"]);
    for (span, system) in [(&call, "jsonrpc"), (&attempt, "go_net_rpc")] {
        let told = &span["attributes"];
        assert_eq!((&told["rpc.system"], &told["rpc.service"]), (&system.into(), &"Arith".into()));
        assert_eq!(
            (&told["rpc.method"], &told["locum.outcome"]),
            (&"Multiply".into(), &"success".into())
        );
        assert_eq!(span["status"], 0);
    }
    assert_eq!(call["attributes"]["rpc.jsonrpc.version"], "2.0");
    assert_eq!(call["attributes"]["locum.code"], "ok");
    // The service's own error: the call went well, its attempt brought an error.
    assert_eq!(of("Arith.Divide", 2)["attributes"]["locum.code"], "app");
    assert_eq!(of("Arith.Divide", 3)["attributes"]["error.type"], "app");
}

#[test]
fn a_remote_call_keeps_its_trace_over_two_proxies() {
    let Some(collector) = Collector::start() else { return };
    let otlp = format!("http://{}", collector.grpc);
    let backend = demo();
    let second = told(&Config::calls_to("gob", [backend.address("rpc")]), &otlp).start();
    let first = told(&Config::calls_to("native", [second.address("rpc")]), &otlp).start();
    let address = first.address("rpc").to_string();
    let argument = ["call", &address, "Arith.Multiply", "{\"A\":7,\"B\":8}"];
    assert_eq!(run_to_end(binary(), &argument).output.trim(), "56");
    let spans = collector.wait_for(4);
    assert!(spans.iter().all(|span| span["trace"] == spans[0]["trace"]), "{spans:#?}");
    let parents: Vec<_> = spans.iter().map(|span| &span["parent"]).collect();
    let roots = parents.iter().filter(|parent| parent.as_str() == Some("")).count();
    let below = spans.iter().filter(|span| parents.contains(&&span["span"])).count();
    assert_eq!((roots, below), (1, 3), "each but the last is the parent of another: {spans:#?}");
}

#[test]
fn a_collector_that_is_gone_costs_spans_and_no_call() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = told(&Config::to(&upstream), &format!("http://{}", refused())).start();
    let report = Load::get(locum.address("web"), "/").requests(500).run();
    assert_eq!((report.ok(), report.failed()), (500, 0), "{report:?}");
    // Once it was tried for some seconds.
    locum.counts("locum_telemetry_spans_total", &[("result", "dropped")], 1000.0);
    let complaints = locum.log().matches("spans are not taken").count();
    assert_eq!(complaints, 1, "{}", locum.log());
    assert_eq!(locum.get("/").status, 200);
}

#[test]
fn a_collector_that_hangs_holds_up_neither_calls_nor_the_end() {
    let Some(collector) = Collector::that_hangs() else { return };
    let upstream = Upstream::start(script::answers("ok"));
    let mut locum = told(&Config::to(&upstream), &format!("http://{}", collector.grpc)).start();
    let report = Load::get(locum.address("web"), "/").requests(500).run();
    assert_eq!((report.ok(), report.failed()), (500, 0), "{report:?}");
    locum.signal(Signal::TERM);
    assert!(locum.wait().success());
}

#[test]
fn a_collector_that_is_busy_is_told_again() {
    let Some(collector) = Collector::that_fails_first(1) else { return };
    let upstream = Upstream::start(script::answers("ok"));
    for (otlp, spans) in
        [(format!("http://{}", collector.grpc), 2), (format!("http://{}", collector.http), 4)]
    {
        let locum = told(&Config::to(&upstream), &otlp)
            .and(&format!("protocol = \"{}\"", if spans == 2 { "grpc" } else { "http" }))
            .start();
        assert_eq!(locum.get("/").status, 200);
        assert_eq!(collector.wait_for(spans).len(), spans);
        locum.counts("locum_telemetry_spans_total", &[("result", "sent")], 2.0);
        locum.counts("locum_telemetry_spans_total", &[("result", "dropped")], 0.0);
    }
}

#[test]
fn what_was_not_sent_yet_is_sent_at_the_end() {
    let Some(collector) = Collector::start() else { return };
    let upstream = Upstream::start(script::answers("ok"));
    let mut locum = told(&Config::to(&upstream), &format!("http://{}", collector.grpc)).start();
    let mut client = Client::connect(locum.address("web"));
    assert_eq!(client.get("/").unwrap().status, 200);
    drop(client);
    eventually("the call has ended", || locum.metric("locum_calls_total", &[]) == 1.0);
    locum.signal(Signal::TERM);
    assert!(locum.wait().success());
    assert_eq!(collector.wait_for(2).len(), 2);
}
