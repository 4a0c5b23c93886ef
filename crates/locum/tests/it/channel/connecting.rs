//! How channels find their endpoints, connect to them, and spread calls over them.

use locum::transport::{Address, Listener};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_call_made_while_disconnected_waits() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.build().unwrap();
    door.refuse(5);
    let begun = Instant::now();
    assert_eq!(warm(&channel, &mut door).await, Ok(2));
    assert!(begun.elapsed() <= Duration::from_millis(50 + 100 + 200 + 400 + 800));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_no_connection_in_its_time_says_why() {
    let (builder, door) = Door::native("native://a:1");
    let channel: Channel = builder.timeout(seconds(3)).build().unwrap();
    door.refuse(1_000_000);
    let begun = Instant::now();
    let answer = double(&channel, 1).await;
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Connect, Delivery::NotSent));
    assert_eq!(error.detail, "a:1: connection refused");
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn tries_to_connect_end_with_the_calls_that_want_them() {
    let (builder, door) = Door::native("native://a:1");
    let channel: Channel = builder.timeout(seconds(3)).build().unwrap();
    door.refuse(1_000_000);
    double(&channel, 1).await.unwrap_err();
    tokio::time::sleep(seconds(60)).await;
    let tries = 1_000_000 - door.refusals_left();
    assert!((2..40).contains(&tries), "{tries}");
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(1_000_000 - door.refusals_left(), tries);
    assert!(!door.is_called());
}

#[tokio::test(start_paused = true)]
async fn waits_between_tries_follow_from_the_seed() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let (builder, mut door) = Door::native("native://a:1");
        let channel: Channel = builder.seed(seed).build().unwrap();
        door.refuse(6);
        let begun = Instant::now();
        assert_eq!(warm(&channel, &mut door).await, Ok(2));
        runs.push(begun.elapsed());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[1], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_before_a_word_is_not_hammered() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.timeout(seconds(10)).build().unwrap();
    let counted = tokio::spawn(async move {
        let mut accepted = 0;
        while tokio::time::timeout(seconds(30), door.accept()).await.is_ok() {
            accepted += 1;
        }
        accepted
    });
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(double(&channel, 1).await.is_err());
    }
    assert!(begun.elapsed() > seconds(20), "{:?}", begun.elapsed());
    let accepted = counted.await.unwrap();
    assert!((1..=100).contains(&accepted), "{accepted}");
}

#[tokio::test(start_paused = true)]
async fn calls_are_spread_over_endpoints() {
    for balance in ["round-robin", "least-request", "peak-ewma", "random"] {
        let (builder, mut door) = Door::native("native://a:1,b:1");
        let channel: Channel = builder.balance(balance).build().unwrap();
        let served = tokio::spawn(async move {
            let one = tokio::spawn(door.accept().await.serve());
            let other = tokio::spawn(door.accept().await.serve());
            (one.await.unwrap(), other.await.unwrap())
        });
        for number in 0..200 {
            assert_eq!(double(&channel, number).await, Ok(number * 2), "{balance}");
        }
        drop(channel);
        let (one, other) = served.await.unwrap();
        assert_eq!(one + other, 200);
        if balance == "round-robin" {
            assert_eq!(one, other);
        }
        assert!(one.min(other) > 20, "{balance}: {one} and {other}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_has_its_connections() {
    let (builder, mut door) = Door::native("native://a:1");
    let channel: Channel = builder.connections(3).build().unwrap();
    let calls: Vec<_> = (0..9)
        .map(|number| {
            let channel = channel.clone();
            tokio::spawn(async move { double(&channel, number).await })
        })
        .collect();
    let mut peers = [door.accept().await, door.accept().await, door.accept().await];
    for peer in &mut peers {
        for _ in 0..3 {
            peer.call().await;
        }
    }
    assert_eq!(channel.pending(), 9);
    drop(calls);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_reached_is_passed_over() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let builder = Builder::new("native://up:1,down:1").seed(1);
    let channel: Channel = builder
        .connector(move |endpoint| {
            let is_up = endpoint == "up:1";
            let sender = sender.clone();
            async move {
                if !is_up {
                    return Err(std::io::ErrorKind::ConnectionRefused.into());
                }
                let (near, far) = tokio::io::duplex(4096);
                let _ = sender.send(far);
                Ok(Io::Memory(near))
            }
        })
        .build()
        .unwrap();
    tokio::spawn(async move {
        let io = receiver.recv().await.unwrap();
        peer::Peer::over(io).serve().await
    });
    let begun = Instant::now();
    for number in 0..50 {
        assert_eq!(double(&channel, number).await, Ok(number * 2));
    }
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    let mut listener = Listener::bind(&address).await.unwrap();
    let Some(Address::Tcp { port, .. }) = listener.address().unwrap() else { panic!("no port") };
    let served = tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        peer::Peer::over(io).serve().await
    });
    let channel: Channel = Channel::builder(format!("native://localhost:{port}")).build().unwrap();
    assert_eq!(double(&channel, 4).await, Ok(8));
    drop(channel);
    assert_eq!(served.await.unwrap(), 1);
}

#[tokio::test]
async fn the_shortest_and_the_longest_patience_can_be_set() {
    for patience in [Duration::from_millis(1), seconds(1_000_000)] {
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
        let mut listener = Listener::bind(&address).await.unwrap();
        let Some(Address::Tcp { port, .. }) = listener.address().unwrap() else {
            panic!("no port")
        };
        tokio::spawn(async move {
            let (io, _) = listener.accept().await.unwrap();
            peer::Peer::over(io).serve().await
        });
        let builder = Channel::builder(format!("native://127.0.0.1:{port}"));
        let channel: Channel = builder.keepalive(patience, seconds(60)).build().unwrap();
        assert_eq!(double(&channel, 4).await, Ok(8));
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_of() {
    let channel: Channel = Channel::builder("native://no-such-host.invalid:1")
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let answer = double(&channel, 4).await;
    let Err(CallError::Transport(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Connect, Delivery::NotSent));
}

#[tokio::test]
async fn a_unix_socket_is_as_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.sock");
    let mut listener = Listener::bind(&Address::Unix(path.clone())).await.unwrap();
    tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        peer::Peer::over(io).serve().await
    });
    let channel: Channel =
        Channel::builder(format!("native+unix://{}", path.display())).build().unwrap();
    assert_eq!(double(&channel, 4).await, Ok(8));
}

#[test]
fn what_makes_no_sense_is_said_when_the_channel_is_built() {
    let why = |builder: Builder| builder.build().unwrap_err().to_string();
    let builder = || Builder::new("native://a:1");
    assert_eq!(
        why(Builder::new("gob://a:1").bearer("x")),
        "`gob://a:1`: only the native protocol carries metadata and tokens; use native://"
    );
    assert!(why(builder().balance("fastest")).contains("round-robin"));
    assert!(why(builder().balance("hash:client-ip")).contains("proxy"));
    assert!(why(builder().connections(0)).starts_with("`connections`"));
    assert!(why(builder().timeout(Duration::ZERO)).starts_with("`timeout`"));
    assert!(why(builder().endpoint("b")).contains("has no port"));
    assert!(builder().endpoint("b:2").build().is_ok());
}
