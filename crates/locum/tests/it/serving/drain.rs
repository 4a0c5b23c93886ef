//! A server that shuts down.

use std::time::Duration;

use locum::server::Drained;
use locum_wire::rpc::{Class, Protocol};
use tokio::time::{Instant, sleep};

use super::peer::{Heard, failure, reply};
use super::world::World;

#[tokio::test(start_paused = true)]
async fn calls_that_have_begun_are_answered() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    for _ in 0..1_000 {
        client.wait(5_000);
    }
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    world.handle.shutdown();
    assert_eq!(client.hear::<u64>().await, Heard::GoAway(Some(999)));
    client.wait(1);
    client.send().await;
    let refused = failure(1_000, Class::Unavailable, "locum: unavailable: the server drains");
    assert_eq!(client.hear::<u64>().await, refused);
    let heard = client.hear_sorted::<u64>(1_000).await;
    assert_eq!(heard, (0..1_000).map(|id| reply(id, 5_000)).collect::<Vec<_>>());
    assert_eq!(client.hear::<u64>().await, Heard::End);
    assert!(world.dialer.dial().await.is_err(), "nobody listens");
    drop(client);
    assert_eq!(world.run.await.unwrap(), Drained { given_up: 0 });
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_is_answered_where_there_is_no_word_for_it() {
    let world = World::new().await;
    let mut peer = world.dial().await;
    let call = |id| format!("{{\"method\":\"Work.Wait\",\"params\":[2000],\"id\":{id}}}");
    peer.say(call(1).as_bytes()).await;
    sleep(Duration::from_millis(10)).await;
    world.handle.shutdown();
    sleep(Duration::from_millis(10)).await;
    peer.say(call(2).as_bytes()).await;
    let heard = peer.hear_all().await;
    assert!(heard.contains("\"id\":1") && heard.contains("\"id\":2"), "{heard}");
    drop(peer);
    assert_eq!(world.run.await.unwrap(), Drained { given_up: 0 });
}

#[tokio::test(start_paused = true)]
async fn those_who_say_nothing_do_not_hold_it_up() {
    let world = World::new().await;
    let undecided = world.dial().await;
    let mut resting = world.dial().await.client(Protocol::Native);
    resting.multiply(6, 7);
    resting.send().await;
    assert_eq!(resting.hear::<i64>().await, reply(0, 42));
    let mut web = world.dial().await;
    web.say(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut chatty = world.dial().await;
    let chatter = tokio::spawn(async move {
        let call = b"{\"method\":\"Work.Multiply\",\"params\":[{\"A\":6,\"B\":7}],\"id\":1}";
        loop {
            chatty.say(call).await;
            sleep(Duration::from_millis(5)).await;
        }
    });
    sleep(Duration::from_millis(100)).await;
    world.handle.shutdown();
    let began = Instant::now();
    assert_eq!(resting.hear::<i64>().await, Heard::GoAway(Some(0)));
    assert_eq!(resting.hear::<i64>().await, Heard::End);
    assert_eq!(world.run.await.unwrap(), Drained { given_up: 0 });
    // The one that went on talking is listened to for a second, and then told that it is over.
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    drop((undecided, web));
    chatter.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_begins_during_a_drain_does_not_hold_it_up() {
    let world = World::new().await;
    let mut peer = world.dial().await;
    sleep(Duration::from_millis(10)).await;
    world.handle.shutdown();
    let began = Instant::now();
    sleep(Duration::from_millis(10)).await;
    peer.say(b"{\"method\":\"Work.Multiply\",\"params\":[{\"A\":6,\"B\":7}],\"id\":1}").await;
    let heard = peer.hear_all().await;
    assert!(heard.contains("42"), "{heard}");
    drop(peer);
    assert_eq!(world.run.await.unwrap(), Drained { given_up: 0 });
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_are_listened_to_until_they_end() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.wait(5_000);
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    world.handle.shutdown();
    sleep(Duration::from_secs(3)).await;
    client.cancel(0);
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.seen.counts(), (1, 0, 1));
    drop(client);
    assert_eq!(world.run.await.unwrap(), Drained { given_up: 0 });
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up() {
    let world = World::with(|server| server.drain(Duration::from_secs(3))).await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.wait(1_000);
    client.wait(9_000);
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    world.handle.shutdown();
    assert_eq!(client.hear::<u64>().await, Heard::GoAway(Some(1)));
    assert_eq!(client.hear::<u64>().await, reply(0, 1_000));
    assert_eq!(client.hear::<u64>().await, Heard::End);
    assert_eq!(world.run.await.unwrap(), Drained { given_up: 1 });
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.seen.counts(), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn dropped_a_server_closes_all() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.wait(1_000);
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    world.run.abort();
    assert_eq!(client.hear::<u64>().await, Heard::End);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.seen.counts(), (1, 0, 1));
}
