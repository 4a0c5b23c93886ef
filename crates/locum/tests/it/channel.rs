//! Channels, against servers that are played by hand, in paused time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use locum::channel::Builder;
use locum::transport::Io;
use locum::{CallError, Channel, Cx, Delivery, TransportKind};
use locum_wire::rpc::Failure;
use tokio::time::Instant;

use self::peer::{ADD, Asked, DOUBLE, Door};

mod connecting;
mod peer;
mod protocols;
mod under_policy;

async fn double(channel: &Channel, args: i64) -> Result<i64, CallError> {
    channel.call(&Cx::new(), &DOUBLE, args).await
}

async fn add(channel: &Channel, args: i64) -> Result<i64, CallError> {
    channel.call(&Cx::background(), &ADD, args).await
}

/// Lets everything that can happen now happen.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let serve = async { door.accept().await.serve().await };
    let call = async {
        let answer = double(&channel, 21).await;
        assert_eq!(channel.pending(), 0);
        drop(channel);
        answer
    };
    let (answer, calls) = tokio::join!(call, serve);
    assert_eq!((answer, calls), (Ok(42), 1));
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_turn_leave_in_one_write() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    assert_eq!(warm(&channel, &mut door).await, Ok(2));
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let calls: Vec<_> = (0..64)
        .map(|number| {
            let channel = channel.clone();
            tokio::spawn(async move { double(&channel, number).await })
        })
        .collect();
    let mut peer = door.accept().await;
    for id in 0..64 {
        assert_eq!(peer.call().await.id, id);
    }
    assert!(peer.reads <= 2, "greeting and batch took {} reads", peer.reads);
    tokio::spawn(peer.serve());
    assert_eq!(channel.pending(), 64);
    drop(calls);
}

async fn warm(channel: &Channel, door: &mut Door) -> Result<i64, CallError> {
    let (answer, ()) = tokio::join!(biased; double(channel, 1), async {
        tokio::spawn(door.accept().await.serve());
    });
    answer
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_finds_nobody() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.timeout(seconds(1)).build().unwrap();
    let begun = Instant::now();
    let (answer, mut peer) = tokio::join!(biased; double(&channel, 1), async {
        let mut peer = door.accept().await;
        assert_eq!(peer.call().await.timeout, Some(seconds(1)));
        assert_eq!(peer.next().await, Asked::Cancel(0), "the peer is told");
        peer
    });
    let Err(CallError::Rejected(rejection)) = answer else { panic!("{answer:?}") };
    assert_eq!(
        (rejection.kind.as_str(), rejection.delivery),
        ("deadline", Delivery::MaybeProcessed)
    );
    assert_eq!(begun.elapsed().as_millis() / 10, 100);
    assert_eq!(channel.pending(), 0);

    peer.reply(0, &2).await;
    let (answer, _) = tokio::join!(biased; double(&channel, 5), async {
        let call = peer.call().await;
        assert_eq!(call.id, 1);
        peer.reply(1, &10).await;
    });
    assert_eq!(answer, Ok(10));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_at_the_peer() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let calling = channel.clone();
    let call = tokio::spawn(async move { double(&calling, 1).await });
    let mut peer = door.accept().await;
    peer.call().await;
    assert_eq!(channel.pending(), 1);
    call.abort();
    assert_eq!(peer.next().await, Asked::Cancel(0));
    assert_eq!(channel.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_context_that_is_given_up_gives_its_calls_up() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let cx = Cx::new();
    let call = channel.call::<i64, i64, String>(&cx, &DOUBLE, 1);
    let (answer, ()) = tokio::join!(call, async {
        let mut peer = door.accept().await;
        peer.call().await;
        cx.cancel();
        assert_eq!(peer.next().await, Asked::Cancel(0));
    });
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Cancelled, Delivery::MaybeProcessed));

    let answer = channel.call::<i64, i64, String>(&cx, &DOUBLE, 1).await;
    assert_eq!(answer.unwrap_err().delivery(), Delivery::NotSent);
}

#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_counts() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let cx = Cx::new().with_timeout(Duration::from_millis(300));
    let begun = Instant::now();
    let call = channel.call::<i64, i64, String>(&cx, &DOUBLE, 1);
    let (answer, ()) = tokio::join!(call, async {
        let mut peer = door.accept().await;
        assert_eq!(peer.call().await.timeout, Some(Duration::from_millis(300)));
        peer.next().await;
    });
    assert!(matches!(answer, Err(CallError::Rejected(_))));
    assert_eq!(begun.elapsed().as_millis() / 10, 30);
}

#[tokio::test(start_paused = true)]
async fn what_travels_along_arrives() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.bearer("secret").build().unwrap();
    let cx = Cx::new().with_metadata("tenant", "blue").with_span();
    let call = channel.call::<i64, i64, String>(&cx, &ADD, 1);
    let (answer, ()) = tokio::join!(call, async {
        let mut peer = door.accept().await;
        let call = peer.call().await;
        assert_eq!((call.method.as_str(), call.attempt, call.trace), ("Test.Add", 1, cx.trace()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [pair("authorization", "Bearer secret"), pair("tenant", "blue")];
        assert_eq!(call.metadata, expected);
        peer.reply(call.id, &7).await;
    });
    assert_eq!(answer, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_read_fails_its_call_alone() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let (bad, good, ()) = tokio::join!(biased; double(&channel, 1), double(&channel, 2), async {
        let mut peer = door.accept().await;
        let (first, second) = (peer.call().await, peer.call().await);
        // Half a number.
        peer.reply(first.id, &0xffu8).await;
        peer.reply(second.id, &4).await;
        assert_eq!(double_served(&channel, &mut peer).await, Ok(6));
    });
    assert!(matches!(bad, Err(CallError::Protocol(_))), "{bad:?}");
    assert_eq!(good, Ok(4));
}

async fn double_served(channel: &Channel, peer: &mut peer::Peer) -> Result<i64, CallError> {
    let (answer, ()) = tokio::join!(biased; double(channel, 3), async {
        let call = peer.call().await;
        peer.reply(call.id, &(call.args * 2)).await;
    });
    answer
}

#[tokio::test(start_paused = true)]
async fn failures_keep_their_class() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let (app, unknown, panicked, ()) = tokio::join!(biased; double(&channel, 1), double(&channel, 2), double(&channel, 3), async {
        let mut peer = door.accept().await;
        let ids = [peer.call().await.id, peer.call().await.id, peer.call().await.id];
        peer.fail(ids[0], &Failure::app("divide by zero")).await;
        peer.fail(ids[1], &Failure::unknown_method("Test.Double")).await;
        peer.fail(ids[2], &Failure::internal("the handler panicked")).await;
    });
    assert_eq!(app, Err(CallError::App("divide by zero".to_owned())));
    assert!(matches!(unknown, Err(CallError::Protocol(_))), "{unknown:?}");
    assert_eq!(panicked, Err(CallError::Internal("the handler panicked".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_sent_when_the_connection_ends_may_have_been_processed() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut peer = door.accept().await;
        peer.call().await;
    });
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Closed, Delivery::MaybeProcessed));
    assert_eq!(channel.pending(), 0);
    assert_eq!(warm(&channel, &mut door).await, Ok(2), "the next call connects again");
}

/// A call of which a pipe has no room for all.
fn large_call(channel: &Channel) -> tokio::task::JoinHandle<Result<i64, CallError>> {
    let channel = channel.clone();
    tokio::spawn(async move { channel.call(&Cx::new(), &ADD, "x".repeat(10_000)).await })
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_not_sent_when_the_connection_ends_are_sent_on_the_next() {
    let (builder, mut door) = Door::new("native://a:1", locum_wire::rpc::Protocol::Native, 1000);
    let channel: Channel = builder.build().unwrap();
    let large = large_call(&channel);
    let mut peer = door.accept().await;
    settle().await;
    let (answer, calls) = tokio::join!(biased; double(&channel, 4), async {
        settle().await;
        assert_eq!(channel.pending(), 2);
        drop(peer);
        peer = door.accept().await;
        let call = peer.call().await;
        peer.reply(call.id, &8).await;
        call
    });
    assert_eq!((answer, calls.args), (Ok(8), 4));
    assert_eq!(large.await.unwrap().unwrap_err().delivery(), Delivery::MaybeProcessed);
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_sent_runs_out_of_time_and_may_be_sent_all_the_same() {
    let (builder, mut door) = Door::new("native://a:1", locum_wire::rpc::Protocol::Native, 1000);
    let channel: Channel = builder.build().unwrap();
    let large = large_call(&channel);
    let mut peer = door.accept().await;
    settle().await;
    let begun = Instant::now();
    let cx = Cx::new().with_timeout(seconds(1));
    let late = channel.call::<i64, i64, String>(&cx, &ADD, 4).await;
    let Err(CallError::Rejected(rejection)) = late else { panic!("{late:?}") };
    assert_eq!(
        (rejection.kind.as_str(), rejection.delivery),
        ("deadline", Delivery::MaybeProcessed)
    );
    assert_eq!(begun.elapsed().as_millis() / 10, 100);
    peer.call().await;
    assert_eq!(peer.call().await.args, 4, "its bytes were in the buffer");
    assert_eq!(peer.next().await, Asked::Cancel(1));
    large.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_ends_though_nothing_can_be_sent() {
    let (builder, mut door) = Door::new("native://a:1", locum_wire::rpc::Protocol::Native, 1000);
    let channel: Channel = builder.build().unwrap();
    let large = large_call(&channel);
    let _peer = door.accept().await;
    settle().await;
    large.abort();
    let closed = tokio::time::timeout(seconds(1), channel.close()).await;
    assert!(closed.is_ok(), "it waits for what nobody reads");
}

/// Takes nothing, and does not tell how much it sent before that.
struct Broken;

impl tokio::io::AsyncWrite for Broken {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_took_that_failed_may_have_been_processed() {
    let channel: Channel = Builder::new("native://a:1")
        .connector(|_| async {
            let (near, far) = tokio::io::duplex(64);
            tokio::spawn(async move {
                let _open = far;
                std::future::pending::<()>().await;
            });
            Ok(Io::Other(Box::new(tokio::io::join(near, Broken))))
        })
        .build()
        .unwrap();
    let error = add(&channel, 1).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::MaybeProcessed);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_away_answers_what_it_has_begun() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let (begun, refused, ()) = tokio::join!(biased; double(&channel, 1), double(&channel, 2), async {
        let mut old = door.accept().await;
        assert_eq!((old.call().await.id, old.call().await.id), (0, 1));
        old.go_away(Some(0)).await;
        let mut new = door.accept().await;
        let call = new.call().await;
        assert_eq!(call.args, 2);
        new.reply(call.id, &4).await;
        old.reply(0, &2).await;
        assert_eq!(old.next().await, Asked::End, "a connection without calls is closed");
        assert_eq!(double_served(&channel, &mut new).await, Ok(6));
    });
    assert_eq!((begun, refused), (Ok(2), Ok(4)));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_timeouts_leave_nothing_behind() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.timeout(seconds(1)).build().unwrap();
    let calls: Vec<_> = (0..10_000)
        .map(|number| {
            let channel = channel.clone();
            tokio::spawn(async move { double(&channel, number).await })
        })
        .collect();
    let mut peer = door.accept().await;
    for _ in 0..10_000 {
        peer.call().await;
    }
    assert_eq!(channel.pending(), 10_000);
    let mut cancelled = 0;
    while cancelled < 10_000 {
        cancelled += usize::from(matches!(peer.next().await, Asked::Cancel(_)));
    }
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(CallError::Rejected(_))));
    }
    assert_eq!(channel.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_are_in_flight_at_once_and_answered_in_any_order() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let calls: Vec<_> = (0..10_000)
        .map(|number| {
            let channel = channel.clone();
            tokio::spawn(async move { double(&channel, number).await })
        })
        .collect();
    let mut peer = door.accept().await;
    let mut asked = Vec::new();
    for _ in 0..10_000 {
        asked.push(peer.call().await);
    }
    let mut order: Vec<_> = (0..10_000).collect();
    order.sort_by_key(|index| locum::policy::seed::mix(7, *index));
    for index in order {
        let call = &asked[index as usize];
        peer.reply(call.id, &(call.args * 2)).await;
    }
    for (number, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), Ok(number * 2));
    }
    assert_eq!(channel.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_cap_wait_for_room() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.max_in_flight(2).timeout(seconds(3)).build().unwrap();
    let calls: Vec<_> = (0..5)
        .map(|number| {
            let channel = channel.clone();
            tokio::spawn(async move { double(&channel, number).await })
        })
        .collect();
    let mut peer = door.accept().await;
    let (first, second) = (peer.call().await, peer.call().await);
    settle().await;
    assert_eq!(channel.pending(), 2);
    peer.reply(first.id, &0).await;
    let third = peer.call().await;
    assert_eq!(third.args, 2);
    peer.reply(second.id, &2).await;
    peer.reply(third.id, &4).await;
    let (fourth, fifth) = (peer.call().await, peer.call().await);
    let mut last = [fourth.args, fifth.args];
    last.sort_unstable();
    // These two, and one more that finds no room, run out of time.
    let late = double(&channel, 9).await.unwrap_err();
    assert_eq!(late.delivery(), Delivery::NotSent);
    assert_eq!(last, [3, 4]);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().ok());
    }
    assert_eq!(answers, [Some(0), Some(2), Some(4), None, None]);
    assert_eq!(channel.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_is_not_sent() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.max_message(1000).build().unwrap();
    let large = "x".repeat(2000);
    let answer = channel.call::<_, i64, String>(&Cx::new(), &ADD, large).await;
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Unsupported, Delivery::NotSent));
    assert!(error.detail.contains("max_message = 1000"), "{}", error.detail);
    let mut first = door.accept().await;
    assert_eq!(first.next().await, Asked::End);
    let begun = Instant::now();
    assert_eq!(warm(&channel, &mut door).await, Ok(2));
    assert_eq!(begun.elapsed(), Duration::ZERO, "that was no fault of the peer's");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_and_then_given_up() {
    let (builder, mut door) = Door::native("native://a:1");
    let builder = builder.keepalive(seconds(5), seconds(2)).timeout(seconds(60));
    let channel: Channel = builder.build().unwrap();
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut peer = door.accept().await;
        peer.call().await;
        let Asked::Ping(token) = peer.next().await else { panic!("no ping") };
        assert_eq!(begun.elapsed().as_secs(), 5);
        peer.pong(token).await;
        assert!(matches!(peer.next().await, Asked::Ping(_)));
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert_eq!(peer.next().await, Asked::End);
        assert_eq!(begun.elapsed().as_secs(), 12);
    });
    assert_eq!(answer.unwrap_err().delivery(), Delivery::MaybeProcessed);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_is_told() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut peer = door.accept().await;
        let call = peer.call().await;
        peer.ping(99).await;
        assert_eq!(peer.next().await, Asked::Pong(99));
        peer.reply(call.id, &2).await;
    });
    assert_eq!(answer, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_closes_answers_what_it_has_begun() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let (answer, (), ()) = tokio::join!(
        biased;
        double(&channel, 1),
        async {
            let mut peer = door.accept().await;
            let call = peer.call().await;
            settle().await;
            peer.reply(call.id, &2).await;
            assert_eq!(peer.next().await, Asked::End);
        },
        async {
            settle().await;
            channel.close().await;
            assert_eq!(channel.pending(), 0);
        }
    );
    assert_eq!(answer, Ok(2));
    let refused = double(&channel, 1).await.unwrap_err();
    assert_eq!(refused.to_string(), "connection closed: the channel is closed");
    assert_eq!(refused.delivery(), Delivery::NotSent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_on_many_threads_share_a_connection() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for number in 0..200 {
                    let args = caller * 1000 + number;
                    assert_eq!(double(&channel, args).await, Ok(args * 2));
                }
            })
        })
        .collect();
    let served = tokio::spawn(door.accept().await.serve());
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(channel.pending(), 0);
    drop(channel);
    assert_eq!(served.await.unwrap(), 64 * 200);
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_method_and_outcome() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.timeout(seconds(2)).build().unwrap();
    let (answer, app, late, ()) = tokio::join!(biased; double(&channel, 1), double(&channel, 2), add(&channel, 3), async {
        let mut peer = door.accept().await;
        let (first, second) = (peer.call().await, peer.call().await);
        tokio::time::sleep(Duration::from_millis(7)).await;
        peer.reply(first.id, &2).await;
        peer.fail(second.id, &Failure::app("no")).await;
        let metrics = channel.metrics();
        assert!(metrics.contains("locum_client_connections 1\n"), "{metrics}");
        tokio::time::sleep(seconds(3)).await;
    });
    assert!(answer.is_ok() && app.is_err() && late.is_err());
    let metrics = channel.metrics();
    for line in [
        r#"locum_client_calls_total{method="Test.Double",outcome="ok"} 1"#,
        r#"locum_client_calls_total{method="Test.Double",outcome="app_error"} 1"#,
        r#"locum_client_calls_total{method="Test.Add",outcome="deadline"} 1"#,
        r#"locum_client_call_duration_seconds_bucket{method="Test.Double",le="0.005"} 0"#,
        r#"locum_client_call_duration_seconds_bucket{method="Test.Double",le="0.01"} 2"#,
        r#"locum_client_call_duration_seconds_count{method="Test.Add"} 0"#,
        "locum_client_calls_in_flight 0",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_are_made_up_do_not_make_counters_without_end() {
    let (builder, _door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    let cx = Cx::new();
    cx.cancel();
    for number in 0..2000 {
        channel.call_json(&cx, &format!("Test.Number{number}"), "1").await.unwrap_err();
    }
    let metrics = channel.metrics();
    let count = |text: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with("locum_client_calls_total{"));
        lines.filter(|line| line.contains(text)).count()
    };
    assert_eq!((count("Test.Number"), count("_other")), (1024, 1));
}
