//! A policy before a service that sends.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use locum::http::{Body, ClientError, ClientLayer, Replay};
use locum::policy::Cause;
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::setup::{get, policy, read};

type Sent = Request<Replay<Full<Bytes>>>;
type Outcome = Result<Response<Full<Bytes>>, io::Error>;

/// What a peer does with each attempt in turn; the last is repeated.
#[derive(Clone, Copy)]
enum Does {
    Answers(u16),
    Refuses,
    Breaks,
    Hangs,
}

/// What a peer was sent: the attempt's number, the time it has, and the body.
type Seen = Arc<Mutex<Vec<(Option<String>, Option<String>, String)>>>;

/// Sends `request` under the policy of `layer` to a peer that does all this.
async fn send(
    layer: &ClientLayer,
    does: &'static [Does],
    request: Request<Full<Bytes>>,
) -> (Result<Response<Body<Full<Bytes>>>, ClientError<io::Error>>, Seen) {
    let seen = Seen::default();
    let peer = {
        let seen = Arc::clone(&seen);
        crate::setup::Script::new(move |request: Sent| {
            let seen = Arc::clone(&seen);
            async move { meet(does, &seen, request).await }
        })
    };
    let end = layer.layer(peer).call(request).await;
    (end, seen)
}

async fn meet(does: &[Does], seen: &Seen, request: Sent) -> Outcome {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
    let (number, time) = (header("x-locum-attempt"), header("x-request-timeout-ms"));
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let turn = {
        let mut seen = seen.lock().unwrap();
        seen.push((number, time, String::from_utf8(body.to_vec()).unwrap()));
        seen.len()
    };
    match does[turn.min(does.len()) - 1] {
        Does::Answers(status) => {
            Ok(Response::builder().status(status).body(Full::from("hello")).unwrap())
        }
        Does::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
        Does::Breaks => Err(io::ErrorKind::ConnectionReset.into()),
        Does::Hangs => std::future::pending().await,
    }
}

fn post(body: &str) -> Request<Full<Bytes>> {
    Request::post("/users").body(Full::from(body.to_owned())).unwrap()
}

fn attempts(seen: &Seen) -> usize {
    seen.lock().unwrap().len()
}

const RETRY: &str = "retry = { attempts = 3, backoff = 'fixed', base = '10ms' }";

#[tokio::test(start_paused = true)]
async fn a_retry_sends_the_body_again_with_its_number() {
    let layer = ClientLayer::new(&policy(RETRY), "users");
    let request = Request::put("/users/7").body(Full::from("ann")).unwrap();
    let began = tokio::time::Instant::now();
    let (end, seen) =
        send(&layer, &[Does::Breaks, Does::Answers(503), Does::Answers(200)], request).await;
    assert_eq!(read(end.unwrap().into_body()).await, "hello");
    assert_eq!(began.elapsed().as_millis(), 20);
    let numbers = [None, Some("2".to_owned()), Some("3".to_owned())];
    let expected = numbers.map(|number| (number, None, "ann".to_owned()));
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_do_harm_is_sent_again_only_if_it_never_arrived() {
    let layer = ClientLayer::new(&policy(RETRY), "users");
    let (end, seen) = send(&layer, &[Does::Answers(503)], post("x")).await;
    assert_eq!((end.unwrap().status().as_u16(), attempts(&seen)), (503, 1));
    let (end, seen) = send(&layer, &[Does::Breaks], post("x")).await;
    assert!(matches!(end, Err(ClientError::Failed(_))));
    assert_eq!(attempts(&seen), 1);
    let (end, seen) = send(&layer, &[Does::Refuses, Does::Answers(200)], post("x")).await;
    assert_eq!((end.unwrap().status().as_u16(), attempts(&seen)), (200, 2));

    let mut keyed = post("x");
    keyed.headers_mut().insert("idempotency-key", "1".parse().unwrap());
    let (end, seen) = send(&layer, &[Does::Answers(503), Does::Answers(200)], keyed).await;
    assert_eq!((end.unwrap().status().as_u16(), attempts(&seen)), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn a_body_too_large_to_keep_is_sent_once() {
    let lines = "retry = { attempts = 3, base = '1ms', replay_bytes = '4B' }";
    let layer = ClientLayer::new(&policy(lines), "users");
    let put = |body: &'static str| Request::put("/").body(Full::from(body)).unwrap();
    let (end, seen) = send(&layer, &[Does::Answers(503)], put("12345")).await;
    assert_eq!((end.unwrap().status().as_u16(), attempts(&seen)), (503, 1));
    let (_, seen) = send(&layer, &[Does::Answers(503)], put("1234")).await;
    assert_eq!(attempts(&seen), 3);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_and_told_its_time() {
    let lines = format!("timeout = '1s'\nattempt_timeout = '300ms'\n{RETRY}");
    let layer = ClientLayer::new(&policy(&lines), "users");
    let (end, seen) = send(&layer, &[Does::Hangs, Does::Answers(200)], get()).await;
    assert_eq!(end.unwrap().status(), 200);
    let times: Vec<_> = seen.lock().unwrap().iter().map(|(_, time, _)| time.clone()).collect();
    assert_eq!(times, [Some("300".to_owned()), Some("300".to_owned())]);

    let mut hurried = get();
    hurried.headers_mut().insert("x-request-timeout-ms", "105".parse().unwrap());
    let began = tokio::time::Instant::now();
    let (end, seen) = send(&layer, &[Does::Hangs], hurried).await;
    assert!(matches!(end, Err(ClientError::TimedOut { .. })));
    assert_eq!(began.elapsed().as_millis(), 100);
    assert_eq!(seen.lock().unwrap()[0].1.as_deref(), Some("100"));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_answers_for_an_attempt_that_hangs_with_the_same_body() {
    let layer = ClientLayer::new(&policy("timeout = '1s'\nhedge = { delay = '50ms' }"), "users");
    let request = Request::put("/users/7").body(Full::from("ann")).unwrap();
    let began = tokio::time::Instant::now();
    let (end, seen) = send(&layer, &[Does::Hangs, Does::Answers(200)], request).await;
    assert_eq!(end.unwrap().status(), 200);
    assert_eq!(began.elapsed().as_millis(), 50);
    let bodies: Vec<_> = seen.lock().unwrap().iter().map(|(_, _, body)| body.clone()).collect();
    assert_eq!(bodies, ["ann", "ann"]);
}

#[tokio::test(start_paused = true)]
async fn grpc_is_told_its_time_and_understood_in_its_own_words() {
    let layer = ClientLayer::new(&policy("timeout = '1s'"), "users");
    let mut request = post("");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let told = Arc::new(Mutex::new(None));
    let peer = {
        let told = Arc::clone(&told);
        crate::setup::Script::new(move |request: Sent| {
            *told.lock().unwrap() = request.headers().get("grpc-timeout").cloned();
            async { Ok::<_, io::Error>(Response::new(Full::<Bytes>::default())) }
        })
    };
    layer.layer(peer).call(request).await.unwrap();
    assert_eq!(told.lock().unwrap().as_ref().unwrap(), "995000u");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_refuses_with_an_error_and_closes_again() {
    let lines =
        "breaker = { consecutive = 2, wait = '5s', jitter = 0.0, half_open = { required = 1 } }";
    let layer = ClientLayer::new(&policy(lines), "users");
    for _ in 0..2 {
        assert!(send(&layer, &[Does::Breaks], get()).await.0.is_err());
    }
    let (end, seen) = send(&layer, &[Does::Answers(200)], get()).await;
    let Err(ClientError::Rejected(rejection)) = end else { panic!("the breaker is open") };
    assert_eq!((rejection.reason, rejection.retry_after), ("open", Some(Duration::from_secs(5))));
    assert_eq!(attempts(&seen), 0);
    tokio::time::advance(Duration::from_secs(5)).await;
    let (probe, _) = send(&layer, &[Does::Answers(200)], get()).await;
    read(probe.unwrap().into_body()).await;
    assert!(send(&layer, &[Does::Answers(200)], get()).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_an_error_means_can_be_told() {
    let layer = ClientLayer::new(&policy(RETRY), "users").classify(|_| Cause::Connect);
    let (end, seen) = send(&layer, &[Does::Breaks, Does::Answers(200)], post("x")).await;
    assert_eq!((end.unwrap().status().as_u16(), attempts(&seen)), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_an_answer_that_says_so() {
    let lines = "fault = { abort = 500, abort_rate = 1.0 }";
    let layer = ClientLayer::new(&policy(lines), "users");
    let (end, seen) = send(&layer, &[Does::Answers(200)], get()).await;
    let answer = end.unwrap();
    assert_eq!((answer.status().as_u16(), attempts(&seen)), (500, 0));
    assert!(read(answer.into_body()).await.contains("\"fault\""));
}
