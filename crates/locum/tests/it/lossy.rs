//! Calls over connections on which things go wrong.

use std::time::Duration;

use locum::testing::{self, Faults, Memory};
use locum::{CallError, Delivery, Policies, Server, TransportKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[locum::service]
trait Echo {
    #[method(idempotent)]
    async fn text(&self, text: String) -> Result<String, CallError>;
}

struct Real;

impl Echo for Real {
    async fn text(&self, text: String) -> Result<String, CallError> {
        Ok(text)
    }
}

const PROTOCOLS: [&str; 4] = ["gob", "json-rpc", "json-rpc2", "native"];

const TIMEOUT: Duration = Duration::from_secs(3);

fn connect(protocol: &str, faults: Faults, policy: Option<&str>) -> (EchoProxy, Memory) {
    let memory = testing::serve(Server::new().serve(EchoServer::new(Real)));
    let policy = policy.map(|lines| {
        let policies = Policies::parse_seeded(&format!("[policies.p]\n{lines}"), 1).unwrap();
        policies.get("p").unwrap().clone()
    });
    let builder = EchoProxy::connect(format!("{protocol}://echo:1"));
    let builder = builder.connector(memory.faulty(faults)).timeout(TIMEOUT).seed(1);
    (builder.policy(policy).build().unwrap(), memory)
}

/// How so many calls fare, one after the other.
async fn fare(echo: &EchoProxy, calls: usize) -> Vec<Result<String, CallError>> {
    let mut results = Vec::new();
    for number in 0..calls {
        let begun = Instant::now();
        results.push(echo.text(format!("call {number}")).await);
        assert!(begun.elapsed() <= TIMEOUT, "{:?}", results.last());
    }
    results
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_ends_at_its_deadline() {
    for protocol in PROTOCOLS {
        let (echo, _memory) = connect(protocol, Faults { drop: 1.0, ..Faults::seeded(1) }, None);
        let Err(CallError::Rejected(rejection)) = echo.text("lost".to_owned()).await else {
            panic!("{protocol}")
        };
        assert_eq!((&*rejection.kind, rejection.delivery), ("deadline", Delivery::MaybeProcessed));
        assert_eq!(echo.inner().pending(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_told_as_such_and_made_anew() {
    for protocol in PROTOCOLS {
        let (echo, _memory) = connect(protocol, Faults { error: 0.2, ..Faults::seeded(3) }, None);
        let results = fare(&echo, 60).await;
        let good = results.iter().filter(|result| result.is_ok()).count();
        assert!((20..60).contains(&good), "{protocol}: {good}");
        for result in &results {
            match result {
                Ok(_) => {}
                Err(CallError::Transport(error)) => assert_eq!(error.kind, TransportKind::Closed),
                Err(error) => panic!("{protocol}: {error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn corrupted_bytes_fail_calls_and_nothing_hangs() {
    for protocol in PROTOCOLS {
        let mut bad = 0;
        for seed in 0..40 {
            let faults = Faults { corrupt: 0.3, ..Faults::seeded(seed) };
            let (echo, _memory) = connect(protocol, faults, None);
            let results = fare(&echo, 10).await;
            bad += results.iter().filter(|result| result.is_err()).count();
            for result in results {
                match result {
                    // A text may be another: no protocol here has checksums.
                    Ok(_) => {}
                    Err(CallError::Transport(_) | CallError::Protocol(_)) => {}
                    Err(CallError::Rejected(rejection)) => assert_eq!(rejection.kind, "deadline"),
                    // The text of an error is the service's, as far as a client can tell.
                    Err(CallError::App(_)) => {}
                    Err(error) => panic!("{protocol}: {error}"),
                }
            }
        }
        assert!(bad > 20, "{protocol}: {bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_get_through() {
    let policy = "attempt_timeout = \"200ms\"\nretry = { attempts = 8, base = \"10ms\", cap = \"20ms\", budget = { min_per_second = 100 } }";
    for protocol in PROTOCOLS {
        let faults = Faults { error: 0.1, ..Faults::seeded(5) };
        let (echo, _memory) = connect(protocol, faults, Some(policy));
        for (number, result) in fare(&echo, 40).await.into_iter().enumerate() {
            assert_eq!(result, Ok(format!("call {number}")), "{protocol}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_overtake_each_other_find_their_calls() {
    for protocol in PROTOCOLS {
        let faults = Faults {
            delay: Duration::from_millis(1)..=Duration::from_millis(30),
            reorder: 0.5,
            ..Faults::seeded(7)
        };
        let (echo, _memory) = connect(protocol, faults, None);
        assert_eq!(echo.text("first".to_owned()).await, Ok("first".to_owned()));
        let mut calls = JoinSet::new();
        for number in 0..40 {
            let echo = echo.clone();
            calls.spawn(async move {
                tokio::time::sleep(Duration::from_millis(number)).await;
                let text = format!("call {number}");
                assert_eq!(echo.text(text.clone()).await, Ok(text));
            });
        }
        calls.join_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_says_how_calls_fare() {
    let faults = |seed| Faults {
        delay: Duration::ZERO..=Duration::from_millis(40),
        drop: 0.1,
        error: 0.05,
        corrupt: 0.1,
        ..Faults::seeded(seed)
    };
    for protocol in PROTOCOLS {
        let mut seen = Vec::new();
        for seed in [11, 11, 12] {
            let (echo, _memory) = connect(protocol, faults(seed), None);
            let begun = Instant::now();
            let results = fare(&echo, 30).await;
            seen.push((results, begun.elapsed()));
        }
        assert_eq!(seen[0], seen[1], "{protocol}");
        assert_ne!(seen[0], seen[2], "{protocol}");
    }
}
