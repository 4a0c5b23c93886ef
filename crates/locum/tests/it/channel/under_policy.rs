//! Channels under a policy.

use std::future::poll_fn;
use std::pin::pin;

use locum::{Policies, Policy, Stream as _};
use locum_wire::rpc::Refusal;

use super::*;

fn policy(text: &str) -> Policy {
    let text = format!("[policies.careful]\n{text}");
    Policies::parse_seeded(&text, 7).unwrap().get("careful").unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_followed_by_one_at_the_other_endpoint() {
    let (builder, mut door) = Door::native("native://a:1,b:1");
    let careful = policy("retry = { attempts = 3 }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut first = door.accept().await;
        assert_eq!(first.call().await.attempt, 1);
        let endpoint = first.endpoint.clone();
        drop(first);
        let mut second = door.accept().await;
        assert_ne!(second.endpoint, endpoint);
        let call = second.call().await;
        assert_eq!(call.attempt, 2);
        second.reply(call.id, &2).await;
    });
    assert_eq!(answer, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_done_twice_is_not_sent_twice() {
    let (builder, mut door) = Door::native("native://a:1,b:1");
    let channel: Channel = builder.policy(policy("retry = { attempts = 3 }")).build().unwrap();
    let (answer, ()) = tokio::join!(add(&channel, 1), async {
        let mut first = door.accept().await;
        first.call().await;
    });
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Closed, Delivery::MaybeProcessed));
    assert!(!door.is_called());
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_did_not_begin_is_sent_again() {
    let (builder, mut door) = Door::native("native://a:1,b:1");
    let channel: Channel = builder.policy(policy("retry = { attempts = 2 }")).build().unwrap();
    let (answer, ()) = tokio::join!(add(&channel, 1), async {
        let mut first = door.accept().await;
        let call = first.call().await;
        first.fail(call.id, &Failure::unavailable("full")).await;
        let mut second = door.accept().await;
        let call = second.call().await;
        second.reply(call.id, &5).await;
    });
    assert_eq!(answer, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens() {
    let (builder, mut door) = Door::native("native://a:1");
    let careful = policy("breaker = { min_calls = 5, failure_rate = 0.5, window = \"10s\" }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    let serve = tokio::spawn(async move {
        let mut peer = door.accept().await;
        let mut calls = 0;
        while let Asked::Call(call) = peer.next().await {
            calls += 1;
            peer.fail(call.id, &Failure::internal("out of order")).await;
        }
        calls
    });
    for _ in 0..5 {
        assert!(matches!(double(&channel, 1).await, Err(CallError::Internal(_))));
    }
    let refused = double(&channel, 1).await;
    let Err(CallError::Rejected(rejection)) = refused else { panic!("{refused:?}") };
    let rejection = *rejection;
    assert_eq!((rejection.kind.as_str(), rejection.policy.as_str()), ("breaker", "careful"));
    assert_eq!((rejection.reason.as_str(), rejection.delivery), ("open", Delivery::NotSent));
    assert!(rejection.retry_after.is_some());
    drop(channel);
    assert_eq!(serve.await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_read_counts_as_a_failure() {
    let (builder, mut door) = Door::native("native://a:1");
    let careful = policy("breaker = { min_calls = 3, failure_rate = 0.5, window = \"10s\" }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    tokio::spawn(async move {
        let mut peer = door.accept().await;
        while let Asked::Call(call) = peer.next().await {
            peer.reply(call.id, &0xffu8).await;
        }
    });
    for _ in 0..3 {
        assert!(matches!(double(&channel, 1).await, Err(CallError::Protocol(_))));
    }
    assert!(matches!(double(&channel, 1).await, Err(CallError::Rejected(_))));
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_service_open_no_breaker() {
    let (builder, mut door) = Door::native("native://a:1");
    let careful = policy("breaker = { min_calls = 3, failure_rate = 0.5, window = \"10s\" }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    tokio::spawn(async move {
        let mut peer = door.accept().await;
        while let Asked::Call(call) = peer.next().await {
            peer.fail(call.id, &Failure::app("no")).await;
        }
    });
    for _ in 0..20 {
        assert_eq!(double(&channel, 1).await, Err(CallError::App("no".to_owned())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_has_its_own_time() {
    let (builder, mut door) = Door::native("native://a:1");
    let careful =
        policy("timeout = \"30s\"\nreserve = \"0s\"\nmethods.\"Test.Add\" = { timeout = \"2s\" }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    let begun = Instant::now();
    let (answer, mut peer) = tokio::join!(add(&channel, 1), async {
        let mut peer = door.accept().await;
        assert_eq!(peer.call().await.timeout, Some(seconds(2)));
        assert_eq!(peer.next().await, Asked::Cancel(0));
        peer
    });
    assert_eq!(begun.elapsed().as_secs(), 2);
    let Err(CallError::Rejected(rejection)) = answer else { panic!("{answer:?}") };
    assert_eq!((rejection.kind.as_str(), rejection.policy.as_str()), ("deadline", "careful"));
    assert_eq!(rejection.delivery, Delivery::MaybeProcessed);
    let ((), ()) = tokio::join!(
        biased;
        async {
            double(&channel, 1).await.unwrap_err();
        },
        async {
            assert_eq!(peer.call().await.timeout, Some(seconds(30)), "the default gives way");
        }
    );
    assert_eq!(channel.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_cancelled_and_followed() {
    let (builder, mut door) = Door::native("native://a:1,b:1");
    let careful = policy("attempt_timeout = \"1s\"\nretry = { attempts = 2 }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut first = door.accept().await;
        assert_eq!(first.call().await.timeout, Some(seconds(1)));
        assert_eq!(first.next().await, Asked::Cancel(0));
        let mut second = door.accept().await;
        let call = second.call().await;
        second.reply(call.id, &2).await;
    });
    assert_eq!(answer, Ok(2));
    assert_eq!(channel.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_peer_is_passed_on_as_such() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.policy(policy("retry = { attempts = 3 }")).build().unwrap();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut peer = door.accept().await;
        let call = peer.call().await;
        let refusal = Refusal {
            kind: "rate_limit".to_owned(),
            policy: "theirs".to_owned(),
            reason: "limited".to_owned(),
            retry_after: Some(seconds(4)),
        };
        peer.fail(call.id, &Failure::refused(refusal)).await;
    });
    let Err(CallError::Rejected(rejection)) = answer else { panic!("{answer:?}") };
    assert_eq!((rejection.policy.as_str(), rejection.retry_after), ("theirs", Some(seconds(4))));
    assert_eq!(rejection.delivery, Delivery::Refused);
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_a_call_says_so_also_under_a_policy() {
    let (builder, door) = Door::native("native://a:1");
    let channel: Channel = builder.policy(policy("timeout = \"2s\"")).build().unwrap();
    door.refuse(1_000_000);
    let begun = Instant::now();
    let answer = double(&channel, 1).await;
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Connect, Delivery::NotSent));
    assert_eq!(begun.elapsed().as_millis() / 100, 19);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_read_as_the_reply() {
    let (builder, door) = Door::native("native://a:1");
    let careful = policy("timeout = \"1s\"\nfallback = { body = \"42\" }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    door.refuse(1_000_000);
    assert_eq!(double(&channel, 1).await, Ok(42));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_refuses_before_anything_is_sent() {
    let (builder, mut door) = Door::native("native://a:1");
    let careful = policy("rate_limit = { rate = \"1/s\", burst = 1 }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    assert_eq!(warm(&channel, &mut door).await, Ok(2));
    let refused = double(&channel, 1).await;
    let Err(CallError::Rejected(rejection)) = refused else { panic!("{refused:?}") };
    assert_eq!((rejection.kind.as_str(), rejection.delivery), ("rate_limit", Delivery::NotSent));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_attempt_may_have_begun_is_not_forgotten() {
    let (builder, mut door) = Door::native("native://a:1,b:1");
    let channel: Channel = builder.policy(policy("retry = { attempts = 2 }")).build().unwrap();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut first = door.accept().await;
        first.call().await;
        door.refuse(1_000_000);
    });
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Connect, Delivery::MaybeProcessed));
    let (builder, mut door) = Door::native("native://a:1,b:1");
    let channel: Channel = builder.policy(policy("retry = { attempts = 2 }")).build().unwrap();
    let (answer, ()) = tokio::join!(biased; double(&channel, 1), async {
        let mut first = door.accept().await;
        first.call().await;
        drop(first);
        let mut second = door.accept().await;
        let call = second.call().await;
        second.fail(call.id, &Failure::unavailable("full")).await;
    });
    assert_eq!(answer.unwrap_err().delivery(), Delivery::MaybeProcessed);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_no_stream() {
    let (builder, door) = Door::native("native://a:1");
    let careful = policy("timeout = \"1s\"\nfallback = { body = \"42\" }");
    let channel: Channel = builder.policy(careful).build().unwrap();
    door.refuse(1_000_000);
    let answer = channel.call_receiving::<i64, i64, String>(&Cx::new(), &ADD, 1).await;
    assert_eq!(answer.err().map(|error| error.delivery()), Some(Delivery::NotSent));
}

#[tokio::test]
async fn the_time_of_a_policy_is_also_that_of_the_first_look_up() {
    let careful = policy("timeout = \"200ms\"");
    let builder = Channel::builder("native://no-such-host.invalid:1");
    let channel: Channel = builder.policy(careful).build().unwrap();
    let begun = Instant::now();
    let answer = double(&channel, 4).await;
    assert!(matches!(answer, Err(CallError::Transport(_))), "{answer:?}");
    assert!(begun.elapsed() < seconds(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_time_whatever_its_peer_does() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.policy(policy("timeout = \"2s\"")).build().unwrap();
    let cx = Cx::new().with_timeout(seconds(4));
    let begun = Instant::now();
    let (answer, peer) =
        tokio::join!(channel.call_receiving::<i64, i64, String>(&cx, &ADD, 1), async {
            let mut peer = door.accept().await;
            let call = peer.call().await;
            settle().await;
            peer.open(call.id).await;
            peer
        });
    let mut stream = pin!(answer.unwrap());
    let Some(Err(CallError::Rejected(rejection))) =
        poll_fn(|task| stream.as_mut().poll_next(task)).await
    else {
        panic!("no deadline")
    };
    assert_eq!((rejection.kind.as_str(), begun.elapsed().as_secs()), ("deadline", 4));
    drop(peer);
}
