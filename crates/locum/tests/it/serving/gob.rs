//! What a client of Go's net/rpc meets.

use std::time::Duration;

use locum::server::ServiceInfo;
use locum_wire::connect;
use locum_wire::rpc::{Class, Protocol};
use tokio::io::AsyncReadExt as _;
use tokio::time::sleep;

use super::peer::{Heard, failure, reply};
use super::world::{Args, World};

#[tokio::test(start_paused = true)]
async fn who_says_no_more_is_answered_all_the_same() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Gob);
    client.wait(5_000);
    client.multiply(6, 7);
    client.send().await;
    client.peer.shutdown().await;
    assert_eq!(client.hear::<i64>().await, reply(1, 42));
    assert_eq!(client.hear::<u64>().await, reply(0, 5_000));
    assert_eq!(client.hear::<u64>().await, Heard::End);
    assert_eq!(world.seen.counts(), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_keeps_the_connection() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Gob);
    for (id, (method, class, text)) in [
        ("Work.Nothing", Class::UnknownMethod, "rpc: can't find method Work.Nothing"),
        ("Play.Wait", Class::UnknownMethod, "rpc: can't find service Play.Wait"),
        ("Wait", Class::UnknownMethod, "rpc: service/method request ill-formed: Wait"),
    ]
    .into_iter()
    .enumerate()
    {
        let heard = client.call::<_, u64>(method, &5u64).await;
        assert_eq!(heard, failure(id as u64, class, text));
    }
    let heard = client.call::<_, u64>("Work.Wait", &Args { a: 1, b: 2 }).await;
    let Heard::Failure(3, Class::BadArguments, text) = &heard else { panic!("{heard:?}") };
    assert!(text.starts_with("gob: "), "{text}");
    let heard = client.call::<_, i64>("Work.Divide", &Args { a: 1, b: 0 }).await;
    assert_eq!(heard, failure(4, Class::App, "divide by zero"));
    assert_eq!(client.call::<_, i64>("Work.Multiply", &Args { a: 6, b: 7 }).await, reply(5, 42));
}

#[tokio::test(start_paused = true)]
async fn a_header_that_cannot_be_read_ends_the_connection_once_all_is_answered() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Gob);
    client.wait(500);
    client.send().await;
    // A value of a type that was never defined.
    client.peer.say(b"\x04\xff\x90\x00\x00").await;
    client.multiply(6, 7);
    client.send().await;
    assert_eq!(client.hear::<u64>().await, reply(0, 500));
    assert_eq!(client.hear::<u64>().await, Heard::End);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_its_own_cancels_another() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Gob);
    let id = client.wait(5_000);
    client.send().await;
    sleep(Duration::from_millis(10)).await;
    client.cancel(id);
    client.send().await;
    assert_eq!(client.hear::<bool>().await, failure(id, Class::App, "context canceled"));
    assert_eq!(client.hear::<bool>().await, reply(1, true));
    assert_eq!(world.seen.counts(), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn connect_may_come_before_it_however_it_is_cut() {
    let world = World::new().await;
    for cut in [1, 7, connect::REQUEST.len() - 1, connect::REQUEST.len()] {
        let mut client = world.dial().await.client(Protocol::Gob);
        let (first, rest) = connect::REQUEST.split_at(cut);
        client.peer.say(first).await;
        sleep(Duration::from_millis(10)).await;
        client.peer.say(rest).await;
        let mut accepted = [0; connect::ACCEPTED.len()];
        client.peer.io.read_exact(&mut accepted).await.unwrap();
        assert_eq!(accepted, connect::ACCEPTED);
        client.multiply(6, 7);
        client.send().await;
        assert_eq!(client.hear::<i64>().await, reply(0, 42));
    }
    // One that does not wait for the answer is understood as well.
    let mut client = world.dial().await.client(Protocol::Gob);
    client.multiply(6, 7);
    let said = [connect::REQUEST, &client.take_written()].concat();
    client.peer.say(&said).await;
    let mut accepted = [0; connect::ACCEPTED.len()];
    client.peer.io.read_exact(&mut accepted).await.unwrap();
    assert_eq!(client.hear::<i64>().await, reply(0, 42));
}

#[tokio::test(start_paused = true)]
async fn what_is_served_is_told_in_gob_too() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Gob);
    let heard = client.call::<_, Vec<ServiceInfo>>("Locum.Services", &()).await;
    let Heard::Reply(0, services) = heard else { panic!("{heard:?}") };
    assert!(
        services.contains("Work.Multiply") && services.contains("Locum.Services"),
        "{services}"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_are_in_flight_at_once() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Gob);
    for _ in 0..10_000 {
        client.wait(1_000);
    }
    client.send().await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(world.seen.counts().0, 10_000);
    let heard = client.hear_sorted::<u64>(10_000).await;
    assert_eq!(heard, (0..10_000).map(|id| reply(id, 1_000)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_large_argument_goes_through_and_a_larger_one_does_not_harm() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Gob);
    let heard = client.call::<_, u64>("Work.Wait", &"x".repeat(3 << 20)).await;
    assert!(matches!(heard, Heard::Failure(0, Class::BadArguments, _)), "{heard:?}");
    let heard = client.call::<_, String>("Work.Letters", &2_000_000u64).await;
    assert!(matches!(&heard, Heard::Reply(1, text) if text.len() == 2_000_002));
    client.write("Work.Wait", &"x".repeat(17 << 20));
    let flood = client.take_written();
    // The server may close before it has read it all.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.peer.io, &flood).await;
    let heard = client.hear::<u64>().await;
    assert!(matches!(heard, Heard::Failure(2, ..) | Heard::End), "{heard:?}");
}
