//! A policy before handlers.

use std::time::Duration;

use locum::Policies;
use locum_wire::rpc::{Class, Protocol};
use tokio::time::{Instant, sleep};

use super::peer::{Heard, failure, reply};
use super::world::{Args, World};

async fn world(policy: &str) -> World {
    let policies = Policies::parse(&format!("[policies.careful]\n{policy}")).unwrap();
    let policy = policies.get("careful").unwrap();
    World::with(|server| server.policy(policy)).await
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_policy_why_and_when_to_come_back() {
    let world = world("rate_limit = { rate = '2/s', burst = 2 }").await;
    let mut client = world.dial().await.client(Protocol::Native);
    for _ in 0..3 {
        client.multiply(6, 7);
    }
    client.send().await;
    let heard = client.hear_sorted::<i64>(3).await;
    assert_eq!(heard[..2], [reply(0, 42), reply(1, 42)]);
    let Heard::Failure(2, Class::Rejected, text) = &heard[2] else { panic!("{heard:?}") };
    assert_eq!(text, "locum: rejected by rate_limit \"careful\": limited; retry after 0.5s");
    sleep(Duration::from_millis(500)).await;
    client.multiply(6, 7);
    client.send().await;
    assert_eq!(client.hear::<i64>().await, reply(3, 42));
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_policy_gives_cuts_a_handler() {
    let world = world("timeout = '1s'").await;
    let mut client = world.dial().await.client(Protocol::Native);
    let began = Instant::now();
    client.wait(5_000);
    client.wait(500);
    client.send().await;
    assert_eq!(client.hear::<u64>().await, reply(1, 500));
    let Heard::Failure(0, Class::Deadline, text) = client.hear::<u64>().await else { panic!() };
    assert!(text.starts_with("locum: rejected by deadline \"careful\": "), "{text}");
    assert!(began.elapsed() < Duration::from_millis(1_100));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.seen.counts().1, 1, "the other was dropped");
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_in_flight_than_a_policy_lets() {
    let world = world("concurrency = { max = 2 }").await;
    let mut client = world.dial().await.client(Protocol::Native);
    for _ in 0..3 {
        client.wait(100);
    }
    client.send().await;
    let heard = client.hear_sorted::<u64>(3).await;
    assert_eq!(heard[..2], [reply(0, 100), reply(1, 100)]);
    let Heard::Failure(2, Class::Rejected, text) = &heard[2] else { panic!("{heard:?}") };
    assert!(text.starts_with("locum: rejected by concurrency \"careful\": "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_counts_panics_and_not_the_services_own_errors() {
    let breaker = "breaker = { window = '10s', min_calls = 4, failure_rate = 0.5 }";
    let world = world(breaker).await;
    let mut client = world.dial().await.client(Protocol::Native);
    for id in 0..8 {
        let heard = client.call::<_, i64>("Work.Divide", &Args { a: 1, b: 0 }).await;
        assert_eq!(heard, failure(id, Class::App, "divide by zero"));
    }
    let mut heard = Heard::End;
    for _ in 0..12 {
        heard = client.call::<_, u64>("Work.Panic", &0u64).await;
    }
    let Heard::Failure(_, Class::Rejected, text) = &heard else { panic!("{heard:?}") };
    assert!(text.starts_with("locum: rejected by breaker \"careful\": open"), "{text}");
}
