//! A policy before a service that answers.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use locum::http::{Body, Identity, ServerLayer};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::setup::{Log, Script, answer, get, policy, read};

type Answer = Response<Body<Full<Bytes>>>;

/// Gives `request` to a service that answers 200 under the policy of `layer`.
async fn ask(layer: &ServerLayer, request: Request<Full<Bytes>>) -> Answer {
    layer.layer(Script::new(|_| async { answer(200, "hello") })).call(request).await.unwrap()
}

async fn statuses(layer: &ServerLayer, requests: Vec<Request<Full<Bytes>>>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(ask(layer, request).await.status().as_u16());
    }
    statuses
}

fn with<T: Clone + Send + Sync + 'static>(extension: T) -> Request<Full<Bytes>> {
    let mut request = get();
    request.extensions_mut().insert(extension);
    request
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_proxys() {
    let layer = ServerLayer::new(&policy("rate_limit = { rate = '1/s', burst = 1 }"));
    assert_eq!(ask(&layer, get()).await.status(), 200);
    let refused = ask(&layer, get()).await;
    assert_eq!(refused.status(), 429);
    let field = |name: &str| refused.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(field("retry-after"), "1");
    assert_eq!(field("ratelimit-policy"), "\"p\";q=1;w=1");
    assert_eq!(field("ratelimit"), "\"p\";r=0;t=1");
    assert_eq!(field("content-type"), "application/problem+json");
    assert!(field("proxy-status").starts_with("locum; error=http_request_denied; details="));
    let problem: serde_json::Value =
        serde_json::from_str(&read(refused.into_body()).await).unwrap();
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["policy"], "p");
    assert_eq!(problem["kind"], "rate_limit");
    assert_eq!(problem["reason"], "limited");
    assert_eq!(problem["retry_after"], 1.0);
    assert_eq!(problem["violated-policies"], serde_json::json!(["p"]));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&layer, get()).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn callers_are_told_apart_by_their_keys() {
    let limit = |key: &str| {
        ServerLayer::new(&policy(&format!(
            "rate_limit = {{ rate = '1/s', burst = 1, key = '{key}' }}"
        )))
    };
    let one: SocketAddr = "10.0.0.1:1000".parse().unwrap();
    let same: SocketAddr = "10.0.0.1:2000".parse().unwrap();
    let other: IpAddr = "10.0.0.2".parse().unwrap();
    let requests = vec![with(one), with(same), with(other)];
    assert_eq!(statuses(&limit("client-ip"), requests).await, [200, 429, 200]);

    let named = |name: &str| with(Identity(name.into()));
    let requests = vec![named("a"), named("a"), named("b")];
    assert_eq!(statuses(&limit("identity"), requests).await, [200, 429, 200]);

    let tenant = |name: &str| {
        let mut request = get();
        request.headers_mut().insert("x-tenant", name.parse().unwrap());
        request
    };
    let requests = vec![tenant("a"), tenant("a"), tenant("b"), get(), get()];
    assert_eq!(statuses(&limit("header:X-Tenant"), requests).await, [200, 429, 200, 200, 429]);

    let path = |path: &str| Request::get(path).body(Full::default()).unwrap();
    let requests = vec![path("/a?1"), path("/a?2"), path("/b")];
    assert_eq!(statuses(&limit("method"), requests).await, [200, 429, 200]);
    let layer = limit("method").method(|_| "all".into());
    assert_eq!(statuses(&layer, vec![path("/a"), path("/b")]).await, [200, 429]);

    let layer = limit("client-ip").client_ip(|head| head.uri.host()?.parse().ok());
    let requests =
        vec![path("http://10.0.0.1/"), path("http://10.0.0.1/"), path("http://10.0.0.2/")];
    assert_eq!(statuses(&layer, requests).await, [200, 429, 200]);
}

#[tokio::test]
async fn a_call_is_in_flight_until_its_body_has_ended() {
    let log = Log::default();
    let layer = ServerLayer::new(&policy("concurrency = { max = 1 }")).observed_by(log.clone());
    let first = ask(&layer, get()).await;
    assert_eq!(ask(&layer, get()).await.status(), 503);
    assert_eq!(read(first.into_body()).await, "hello");
    let dropped = ask(&layer, get()).await;
    assert_eq!(dropped.status(), 200);
    drop(dropped);
    assert_eq!(ask(&layer, get()).await.status(), 200);
    let done: Vec<_> = log.lines().into_iter().filter(|line| line.starts_with("done")).collect();
    assert_eq!(done, ["done rejected", "done success", "done cancelled", "done cancelled"]);
}

#[tokio::test]
async fn an_answer_without_a_body_ends_its_call_at_once() {
    let layer = ServerLayer::new(&policy("concurrency = { max = 1 }"));
    let mut service = layer.layer(Script::new(|_| async { answer(204, "") }));
    let first = service.call(get()).await.unwrap();
    assert_eq!(service.call(get()).await.unwrap().status(), 204);
    drop(first);
}

type Later =
    Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, std::convert::Infallible>> + Send>>;

/// A service that answers after a time, and counts its calls.
fn slow(
    after: Duration,
    calls: Arc<AtomicU32>,
) -> Script<impl Fn(Request<Full<Bytes>>) -> Later + Send + Sync + 'static> {
    Script::new(move |_| -> Later {
        calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            tokio::time::sleep(after).await;
            answer(200, "late")
        })
    })
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up_and_never_given_twice() {
    let calls = Arc::new(AtomicU32::new(0));
    let lines = "timeout = '1s'\nattempt_timeout = '100ms'\nretry = { attempts = 3 }";
    let layer = ServerLayer::new(&policy(lines));
    let began = tokio::time::Instant::now();
    let refused =
        layer.layer(slow(Duration::from_secs(9), Arc::clone(&calls))).call(get()).await.unwrap();
    assert_eq!(refused.status(), 504);
    assert_eq!(began.elapsed().as_millis(), 100);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let problem: serde_json::Value =
        serde_json::from_str(&read(refused.into_body()).await).unwrap();
    assert_eq!(problem["kind"], "deadline");
    assert_eq!(problem["reason"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn only_a_trusted_caller_may_set_the_time() {
    let hurried = || {
        let mut request = get();
        request.headers_mut().insert("x-request-timeout-ms", "50".parse().unwrap());
        request
    };
    let layer = ServerLayer::new(&policy("timeout = '1s'"));
    let service = slow(Duration::from_millis(200), Arc::default());
    let answer = layer.layer(service.clone()).call(hurried()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let layer = layer.trusting_callers();
    let answer = layer.layer(service).call(hurried()).await.unwrap();
    assert_eq!(answer.status(), 504);
}

#[tokio::test]
async fn a_fallback_answers_in_place_of_a_refusal() {
    let layer = ServerLayer::new(&policy(
        "rate_limit = { rate = '1/h', burst = 1 }\n\
         fallback = { status = 203, body = 'later', headers = { X-Why = 'limit' } }",
    ));
    assert_eq!(ask(&layer, get()).await.status(), 200);
    let answer = ask(&layer, get()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-why"]),
        (203, &"limit".parse().unwrap())
    );
    assert_eq!(read(answer.into_body()).await, "later");
}

#[tokio::test]
async fn a_shadow_tells_its_observer_and_touches_nothing() {
    let log = Log::default();
    let lines = "mode = 'shadow'\nrate_limit = { rate = '1/h', burst = 1 }";
    let layer = ServerLayer::new(&policy(lines)).observed_by(log.clone());
    assert_eq!(statuses(&layer, vec![get(), get()]).await, [200, 200]);
    assert!(log.lines().contains(&"would_reject limited".to_owned()), "{:?}", log.lines());
}
