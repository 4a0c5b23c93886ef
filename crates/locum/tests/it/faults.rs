//! Connections on which things go wrong.

use std::time::Duration;

use locum::testing::Faults;
use locum::transport::Io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

/// What arrives of these batches, when, and how the writer fares.
async fn fare(faults: Faults, batches: &[&[u8]]) -> (Vec<(Duration, Vec<u8>)>, bool) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let mut near = faults.around(Io::Memory(near));
    let mut far = Io::Memory(far);
    let start = Instant::now();
    let reader = tokio::spawn(async move {
        let mut arrived = Vec::new();
        let mut room = vec![0; 1 << 12];
        while let Ok(count @ 1..) = far.read(&mut room).await {
            arrived.push((start.elapsed(), room[..count].to_vec()));
        }
        arrived
    });
    let mut broke = false;
    for batch in batches {
        broke |= near.write_all(batch).await.is_err();
    }
    broke |= near.shutdown().await.is_err();
    drop(near);
    (reader.await.unwrap(), broke)
}

fn bytes(arrived: &[(Duration, Vec<u8>)]) -> Vec<u8> {
    arrived.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

const BATCHES: [&[u8]; 4] = [b"first ", b"second ", b"third ", b"fourth "];

#[tokio::test(start_paused = true)]
async fn without_faults_everything_arrives_at_once() {
    let (arrived, broke) = fare(Faults::seeded(1), &BATCHES).await;
    assert_eq!(bytes(&arrived), BATCHES.concat());
    assert!(!broke && arrived.iter().all(|(after, _)| after.is_zero()));
}

#[tokio::test(start_paused = true)]
async fn a_delay_keeps_the_order() {
    let [least, most] = [10, 50].map(Duration::from_millis);
    let faults = Faults { delay: least..=most, ..Faults::seeded(1) };
    let (arrived, _) = fare(faults, &BATCHES).await;
    assert_eq!(bytes(&arrived), BATCHES.concat());
    assert!(
        arrived[0].0 >= least && arrived.iter().all(|(after, _)| *after <= most + least),
        "{arrived:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_never_arrives_and_nobody_knows() {
    assert_eq!(fare(Faults { drop: 1.0, ..Faults::seeded(1) }, &BATCHES).await, (vec![], false));
    let (arrived, broke) = fare(Faults { drop: 0.5, ..Faults::seeded(3) }, &BATCHES).await;
    let arrived = bytes(&arrived);
    assert!(!broke && !arrived.is_empty() && arrived.len() < BATCHES.concat().len());
}

#[tokio::test(start_paused = true)]
async fn an_error_breaks_the_connection() {
    let (arrived, broke) = fare(Faults { error: 1.0, ..Faults::seeded(1) }, &BATCHES).await;
    assert!(broke && arrived.is_empty());
}

#[tokio::test(start_paused = true)]
async fn corruption_is_one_bit_a_batch() {
    let (arrived, _) = fare(Faults { corrupt: 1.0, ..Faults::seeded(1) }, &BATCHES).await;
    let (arrived, sent) = (bytes(&arrived), BATCHES.concat());
    assert_eq!(arrived.len(), sent.len());
    let bits: u32 = arrived.iter().zip(&sent).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(bits, 4);
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_arrives_after_the_next() {
    let delay = Duration::from_millis(5);
    let faults = Faults { delay: delay..=delay, reorder: 1.0, ..Faults::seeded(1) };
    let (arrived, _) = fare(faults, &BATCHES).await;
    assert_eq!(bytes(&arrived), b"first third second fourth ");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_fares_the_same() {
    let faults = |seed| Faults {
        delay: Duration::ZERO..=Duration::from_secs(1),
        drop: 0.2,
        corrupt: 0.2,
        reorder: 0.2,
        ..Faults::seeded(seed)
    };
    let batches: Vec<_> = (0..50).map(|at| vec![at; 20]).collect();
    let batches: Vec<_> = batches.iter().map(|batch| &batch[..]).collect();
    assert_eq!(fare(faults(7), &batches).await, fare(faults(7), &batches).await);
    assert_ne!(fare(faults(7), &batches).await, fare(faults(8), &batches).await);
    assert_ne!(faults(7).reseeded(0), faults(7).reseeded(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_bounded() {
    let (near, _far) = tokio::io::duplex(1 << 16);
    let mut near = Faults::seeded(1).around(Io::Memory(near));
    let wrote = timeout(Duration::from_secs(60), near.write_all(&vec![0; 1 << 21])).await;
    assert!(wrote.is_ok(), "one batch is taken whatever its size");
    let wrote = timeout(Duration::from_secs(60), near.write_all(b"more")).await;
    assert!(wrote.is_err(), "nobody reads");
}
