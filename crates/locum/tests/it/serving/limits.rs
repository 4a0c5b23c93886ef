//! What clients may take.

use std::time::Duration;

use locum::server::{Limits, WhenFull};
use locum_wire::rpc::{self, Class, Protocol};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::peer::{Heard, failure, reply};
use super::world::World;

async fn world(limits: Limits) -> World {
    World::with(|server| server.limits(limits)).await
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_wait_unread() {
    for limits in [
        Limits { calls_per_connection: 4, ..Limits::default() },
        Limits { calls: 4, ..Limits::default() },
        Limits { argument_bytes: 7, ..Limits::default() },
    ] {
        let world = world(limits).await;
        let mut client = world.dial().await.client(Protocol::Native);
        for _ in 0..20 {
            client.wait(1_000);
        }
        client.send().await;
        sleep(Duration::from_millis(500)).await;
        assert_eq!(world.seen.counts().0, 4, "{limits:?}");
        let heard = client.hear_sorted::<u64>(20).await;
        assert_eq!(heard, (0..20).map(|id| reply(id, 1_000)).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_as_soon_as_the_answers_before_have_left() {
    let world = world(Limits { reply_bytes: 10, ..Limits::default() }).await;
    let mut client = world.dial().await.client(Protocol::Gob);
    let began = Instant::now();
    for _ in 0..20 {
        client.multiply(6, 7);
    }
    client.send().await;
    for id in 0..20 {
        assert_eq!(client.hear::<i64>().await, reply(id, 42));
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "no timer woke the connection");
}

#[tokio::test(start_paused = true)]
async fn room_that_one_connection_leaves_another_takes() {
    let world = world(Limits { calls: 1, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = world.dial().await.client(Protocol::Native);
        client.wait(100);
        client.send().await;
        clients.push(client);
    }
    let began = Instant::now();
    for client in &mut clients {
        assert_eq!(client.hear::<u64>().await, reply(0, 100));
    }
    assert!(began.elapsed() >= Duration::from_millis(450), "one after the other");
}

#[tokio::test(start_paused = true)]
async fn room_that_comes_after_all_is_not_kept_by_who_has_nothing_to_begin() {
    let world = world(Limits { calls: 2, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for millis in [100, 100, 1, 1, 1, 1] {
        let mut client = world.dial().await.client(Protocol::Native);
        client.wait(millis);
        client.send().await;
        clients.push(client);
    }
    for client in &mut clients {
        assert!(matches!(client.hear::<u64>().await, Heard::Reply(..)));
    }
    let before = world.seen.counts().0;
    for client in clients.iter_mut().take(2) {
        client.wait(100);
        client.send().await;
    }
    sleep(Duration::from_millis(50)).await;
    assert_eq!(world.seen.counts().0, before + 2, "all the room is there");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_until_those_before_it_are_given_up() {
    let world = world(Limits { calls_per_connection: 2, ..Limits::default() }).await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.wait(60_000);
    client.wait(60_000);
    client.wait(10);
    client.send().await;
    let heard = timeout(Duration::from_secs(11), client.hear_sorted::<u64>(3)).await;
    let text = "locum: rejected by deadline \"\": deadline";
    let late = |id| failure(id, Class::Deadline, text);
    assert_eq!(heard.unwrap(), [late(0), late(1), reply(2, 10)]);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_are_refused_if_so_told() {
    for limits in [
        Limits { calls_per_connection: 2, ..Limits::default() },
        Limits { calls: 2, ..Limits::default() },
    ] {
        let world = world(Limits { when_full: WhenFull::Refuse, ..limits }).await;
        let mut client = world.dial().await.client(Protocol::Native);
        for _ in 0..4 {
            client.wait(100);
        }
        client.send().await;
        let refused = |id| failure(id, Class::Unavailable, "locum: unavailable: too many calls");
        let heard = client.hear_sorted::<u64>(4).await;
        assert_eq!(heard, [reply(0, 100), reply(1, 100), refused(2), refused(3)]);
        client.wait(100);
        client.send().await;
        assert_eq!(client.hear::<u64>().await, reply(4, 100));
    }
}

/// How many calls of letters have ended.
fn ended(world: &World) -> usize {
    let metrics = world.handle.metrics();
    let count = "locum_calls_total{method=\"Work.Letters\",protocol=\"native\",outcome=\"ok\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(count));
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_from_a_client_that_does_not_read() {
    let world = world(Limits::default()).await;
    let mut client = world.dial().await.client(Protocol::Native);
    let calls = 100_000;
    for _ in 0..calls {
        client.write("Work.Letters", &1_000u64);
    }
    let flood = client.take_written();
    let mut written = 0;
    while let Ok(more) =
        timeout(Duration::from_secs(1), client.peer.io.write(&flood[written..])).await
    {
        written += more.unwrap();
    }
    let bytes = ended(&world) * 1_000;
    assert!(written < flood.len() / 5, "{written} of {} bytes were taken", flood.len());
    assert!((256 << 10..1 << 20).contains(&bytes), "{bytes} bytes of answers were made");

    // Others are served meanwhile, and so is this one once it reads.
    let mut other = world.dial().await.client(Protocol::Native);
    other.multiply(6, 7);
    other.send().await;
    assert_eq!(other.hear::<i64>().await, reply(0, 42));
    for _ in 0..200 {
        assert!(matches!(client.hear::<String>().await, Heard::Reply(..)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_let_go() {
    let world = world(Limits::default()).await;
    let mut client = world.dial().await.client(Protocol::Native);
    for _ in 0..1_000 {
        client.write("Work.Letters", &1_000u64);
    }
    client.wait(29_000);
    client.send().await;
    sleep(Duration::from_secs(29)).await;
    assert!(world.handle.metrics().contains("\nlocum_connections 1\n"));
    sleep(Duration::from_secs(2)).await;
    assert!(world.handle.metrics().contains("\nlocum_connections 0\n"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_no_more_answers_than_a_message_may_take() {
    let message = rpc::Limits { decoded: 100_000, ..rpc::Limits::default() };
    let world = world(Limits { message, ..Limits::default() }).await;
    let mut peer = world.dial().await;
    let call = |id| {
        let method = "\"jsonrpc\":\"2.0\",\"method\":\"Work.Letters\"";
        format!("{{{method},\"params\":[10000],\"id\":{id}}}")
    };
    let calls: Vec<_> = (0..50).map(call).collect();
    peer.say(format!("[{}]", calls.join(",")).as_bytes()).await;
    peer.shutdown().await;
    let heard = peer.hear_all().await;
    assert_eq!(heard.matches("\"id\":").count(), 50);
    assert!((100_000..120_000).contains(&heard.len()), "{} bytes", heard.len());
    assert!(heard.contains("too large"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_posts_and_never_reads_is_let_go() {
    let world = world(Limits::default()).await;
    let mut peer = world.dial().await;
    let call = "{\"jsonrpc\":\"2.0\",\"method\":\"Work.Letters\",\"params\":[200000],\"id\":1}";
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";
    let post = format!("{head}\r\ncontent-length: {}\r\n\r\n{call}", call.len());
    peer.say(post.as_bytes()).await;
    sleep(Duration::from_secs(29)).await;
    assert!(world.handle.metrics().contains("\nlocum_connections 1\n"));
    sleep(Duration::from_secs(2)).await;
    assert!(world.handle.metrics().contains("\nlocum_connections 0\n"));
}

#[tokio::test(start_paused = true)]
async fn too_many_connections_are_closed_at_once() {
    let world = world(Limits { connections: 2, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = world.dial().await.client(Protocol::Native);
        client.multiply(6, 7);
        client.send().await;
        assert_eq!(client.hear::<i64>().await, reply(0, 42));
        clients.push(client);
    }
    assert_eq!(world.dial().await.hear_all().await, "");
    assert!(world.handle.metrics().contains("\nlocum_refused_total 1\n"));
    clients.pop();
    sleep(Duration::from_millis(1)).await;
    let mut client = world.dial().await.client(Protocol::Native);
    client.multiply(6, 7);
    client.send().await;
    assert_eq!(client.hear::<i64>().await, reply(0, 42));
}

/// After how many seconds the server closes a connection on which `said` was said.
async fn closes_after(limits: Limits, said: &[u8]) -> u64 {
    let world = world(limits).await;
    let mut peer = world.dial().await;
    peer.say(said).await;
    let began = Instant::now();
    peer.hear_all().await;
    began.elapsed().as_millis().div_ceil(1_000).try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_says_only_half_of_something_is_not_waited_for() {
    let limits = Limits::default();
    let mut client = world(limits).await.dial().await.client(Protocol::Native);
    client.multiply(6, 7);
    let call = client.take_written();
    for (said, seconds) in [
        (&b""[..], 10),
        (b"GE", 10),
        (b"GET /debug/rpc HTTP/1.1\r\n", 10),
        (b"CONNECT /_goRPC_ HTTP/1.0\n", 5),
        (b"{\"method\":", 10),
        (&call[..3], 10),
        (&call[..call.len() - 1], 10),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{", 10),
    ] {
        let after = closes_after(limits, said).await;
        // A connection is closed after its writing side.
        assert!((seconds..=seconds + 2).contains(&after), "{said:?}: after {after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_stays_unless_the_limits_say_otherwise() {
    let mut client = world(Limits::default()).await.dial().await.client(Protocol::Native);
    client.multiply(6, 7);
    let call = client.take_written();
    let idle = Some(Duration::from_secs(60));
    let after = closes_after(Limits { idle, ..Limits::default() }, &call).await;
    assert!((60..=62).contains(&after), "after {after} s");

    let world = world(Limits::default()).await;
    let mut client = world.dial().await.client(Protocol::Native);
    for id in 0..3 {
        client.multiply(6, 7);
        client.send().await;
        assert_eq!(client.hear::<i64>().await, reply(id, 42));
        sleep(Duration::from_secs(86_400)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_nothing_known_is_closed() {
    let world = world(Limits::default()).await;
    for said in [&b"SSH-2.0-OpenSSH\r\n"[..], b"\x00\x00\x00\x00", b"\x16\x03\x01\x00\x05hello"] {
        let mut peer = world.dial().await;
        peer.say(said).await;
        let heard = timeout(Duration::from_secs(1), peer.hear_all()).await;
        assert_eq!(heard.as_deref(), Ok(""), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_may_come_byte_by_byte() {
    let world = world(Limits::default()).await;
    let mut client = world.dial().await.client(Protocol::Native);
    for id in 0..3 {
        client.multiply(6, 7);
        for byte in client.take_written() {
            client.peer.say(&[byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(client.hear::<i64>().await, reply(id, 42));
    }
}
