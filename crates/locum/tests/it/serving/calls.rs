//! What becomes of one call.

use std::time::Duration;

use locum::server::Deadlines;
use locum::{AppError, CallError};
use locum_wire::rpc::{Class, Protocol};
use tokio::time::{Instant, sleep, timeout};

use super::peer::{Heard, failure, reply};
use super::world::{Args, World};

#[tokio::test(start_paused = true)]
async fn calls_are_answered() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    let args = Args { a: 6, b: 7 };
    assert_eq!(client.call::<_, i64>("Work.Multiply", &args).await, reply(0, 42));
    assert_eq!(client.call::<_, u64>("Work.Wait", &5u64).await, reply(1, 5));
    assert_eq!(client.call::<_, u64>("Work.Toil", &5u64).await, reply(2, 5));
    let failed = client.call::<_, i64>("Work.Divide", &Args { a: 1, b: 0 }).await;
    assert_eq!(failed, failure(3, Class::App, "divide by zero"));
    client.ping(9);
    client.send().await;
    assert_eq!(client.hear::<()>().await, Heard::Pong(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_answered_on_many_threads() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    for round in 0..100 {
        for a in 0..50 {
            client.multiply(a, round);
            client.wait(0);
        }
        client.send().await;
        for (at, heard) in client.hear_sorted::<i64>(100).await.into_iter().enumerate() {
            let (id, a) = (round as u64 * 100 + at as u64, at as i64 / 2);
            assert_eq!(heard, reply(id, if at % 2 == 0 { a * round } else { 0 }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_what_there_is_not_is_told_in_words_of_go() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    for (id, (method, text)) in [
        ("Work.Nothing", "rpc: can't find method Work.Nothing"),
        ("Play.Multiply", "rpc: can't find service Play.Multiply"),
        ("a.Work.Multiply", "rpc: can't find service a.Work.Multiply"),
        ("Multiply", "rpc: service/method request ill-formed: Multiply"),
    ]
    .into_iter()
    .enumerate()
    {
        let heard = client.call::<_, ()>(method, &1u64).await;
        assert_eq!(heard, failure(id as u64, Class::UnknownMethod, text));
    }
    assert!(world.handle.metrics().contains(
        "locum_calls_total{method=\"_unknown\",protocol=\"native\",outcome=\"unknown_method\"} 4"
    ));
}

#[tokio::test(start_paused = true)]
async fn an_argument_that_cannot_be_read_fails_its_call_alone() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    let heard = client.call::<_, i64>("Work.Multiply", &()).await;
    assert!(matches!(heard, Heard::Failure(0, Class::BadArguments, _)), "{heard:?}");
    client.multiply(6, 7);
    client.send().await;
    assert_eq!(client.hear::<i64>().await, reply(1, 42));
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_call_alone() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    let text = "locum: internal: the handler panicked";
    for (id, millis) in [0u64, 5].into_iter().enumerate() {
        client.write("Work.Panic", &millis);
        client.multiply(6, 7);
        client.send().await;
        let heard = client.hear_sorted::<i64>(2).await;
        let id = id as u64 * 2;
        assert_eq!(heard, [failure(id, Class::Internal, text), reply(id + 1, 42)]);
    }
    assert!(world.handle.metrics().contains("locum_panics_total 2"));
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_the_order_in_which_they_are_done() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.wait(30);
    client.wait(10);
    client.write("Work.Toil", &20u64);
    client.multiply(6, 7);
    client.send().await;
    for id in [3, 1, 2, 0] {
        let heard = client.hear::<i64>().await;
        assert!(matches!(heard, Heard::Reply(it, _) if it == id), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_time_is_over_is_dropped() {
    let deadlines = Deadlines {
        default: Duration::from_millis(300),
        min: Duration::from_millis(100),
        max: Duration::from_millis(500),
    };
    let world = World::with(|server| server.deadlines(deadlines)).await;
    let mut client = world.dial().await.client(Protocol::Native);
    let began = Instant::now();
    let text = "locum: rejected by deadline \"\": deadline";
    for (id, (asked, given)) in
        [(None, 300), (Some(200), 200), (Some(1), 100), (Some(9000), 500)].into_iter().enumerate()
    {
        let began = Instant::now();
        let asked = asked.map(Duration::from_millis);
        client.write_with("Work.Wait", &60_000u64, asked, &[]);
        client.send().await;
        assert_eq!(client.hear::<u64>().await, failure(id as u64, Class::Deadline, text));
        let took = began.elapsed().as_millis();
        assert!((given..given + 5).contains(&took), "{asked:?}: {took} ms");
    }
    // The task that had the handler is run once more, to drop it.
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.seen.counts(), (4, 0, 4), "each saw that it was over");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_how_long_it_has() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.write("Work.Left", &());
    client.write_with("Work.Left", &(), Some(Duration::from_millis(250)), &[]);
    client.write_with("Work.Left", &(), Some(Duration::ZERO), &[]);
    client.send().await;
    let heard = client.hear_sorted::<u64>(3).await;
    assert_eq!(heard[..2], [reply(0, 10_000), reply(1, 250)]);
    assert!(matches!(heard[2], Heard::Failure(2, Class::Deadline, _)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_dropped_and_answered() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    let id = client.wait(5_000);
    let other = client.wait(100);
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    client.cancel(id);
    client.cancel(77);
    client.send().await;
    assert_eq!(client.hear::<u64>().await, failure(id, Class::Cancelled, "context canceled"));
    assert_eq!(client.hear::<u64>().await, reply(other, 100));
    assert_eq!(world.seen.counts(), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_client_that_went_are_given_up() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.wait(5_000);
    client.write("Work.Toil", &5_000u64);
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    drop(client);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.seen.counts(), (2, 0, 2));
    assert!(world.handle.metrics().contains("\nlocum_calls_in_flight 0\n"));
    assert!(world.handle.metrics().contains("\nlocum_connections 0\n"));
}

#[tokio::test(start_paused = true)]
async fn metadata_and_identity_come_to_the_handler() {
    let world = World::with(|server| {
        server.bearer(|token| token.strip_prefix("key-of-").map(str::to_owned))
    })
    .await;
    let mut client = world.dial().await.client(Protocol::Native);
    let alice = [("authorization", "Bearer key-of-alice"), ("tenant", "blue")];
    let bob = [("authorization", "bearer key-of-bob")];
    client.write_with("Work.Whoami", &(), None, &alice);
    client.write_with("Work.Whoami", &(), None, &bob);
    client.write_with("Work.Whoami", &(), None, &[("authorization", "Bearer stolen")]);
    client.write("Work.Whoami", &());
    client.send().await;
    let refused = "locum: rejected by auth \"bearer\": unauthorized";
    assert_eq!(
        client.hear_sorted::<String>(4).await,
        [
            reply(0, "Some(\"alice\") Some(\"blue\")"),
            reply(1, "Some(\"bob\") None"),
            failure(2, Class::Rejected, refused),
            failure(3, Class::Rejected, refused),
        ]
    );
}

/// An error that nobody can put into words.
#[derive(Debug)]
struct Mute;

impl std::fmt::Display for Mute {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("there are no words for it")
    }
}

impl AppError for Mute {
    fn from_text(_: String) -> Self {
        Self
    }
}

#[locum::service]
trait Fail {
    async fn at_once(&self) -> Result<(), CallError<Mute>>;
    async fn later(&self) -> Result<(), CallError<Mute>>;
}

struct Failing;

impl Fail for Failing {
    async fn at_once(&self) -> Result<(), CallError<Mute>> {
        Err(CallError::App(Mute))
    }

    async fn later(&self) -> Result<(), CallError<Mute>> {
        sleep(Duration::from_millis(5)).await;
        Err(CallError::App(Mute))
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_in_its_words_is_answered() {
    let world = World::with(|server| server.serve(FailServer::new(Failing))).await;
    let mut client = world.dial().await.client(Protocol::Native);
    for (id, method) in ["Fail.AtOnce", "Fail.Later"].into_iter().enumerate() {
        client.write(method, &());
        client.send().await;
        let heard = timeout(Duration::from_secs(60), client.hear::<()>()).await;
        let text = "locum: internal: the handler panicked";
        assert_eq!(heard, Ok(failure(id as u64, Class::Internal, text)));
    }
}
