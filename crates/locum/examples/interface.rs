//! The interface that a service and its proxies implement. Whoever uses it does not know which it is
//! given: the service itself, one that logs what passes, one that a policy stands around.
//!
//!     cargo run -p locum --example interface

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use locum::{CallError, Cx, Delivery, Policies, TransportError, TransportKind};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Args {
    #[serde(rename = "A")]
    pub a: i64,
    #[serde(rename = "B")]
    pub b: i64,
}

/// The interface.
#[locum::service]
pub trait Arith {
    #[method(idempotent)]
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;
    async fn divide(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;
}

/// The service. Its connection to something else breaks now and then.
#[derive(Default)]
pub struct RealArith {
    calls: AtomicU32,
}

impl Arith for RealArith {
    async fn multiply(&self, _: &Cx, args: Args) -> Result<i64, CallError> {
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Err(CallError::Transport(TransportError {
                kind: TransportKind::Closed,
                delivery: Delivery::MaybeProcessed,
                detail: "something else went away".to_owned(),
            }));
        }
        args.a.checked_mul(args.b).ok_or_else(|| "overflow".into())
    }

    async fn divide(&self, _: &Cx, args: Args) -> Result<i64, CallError> {
        args.a.checked_div(args.b).ok_or_else(|| "divide by zero".into())
    }
}

/// A proxy written by hand: it implements the interface around whatever else does.
pub struct Logged<T>(pub T);

impl<T: Arith> Arith for Logged<T> {
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError> {
        log("multiply", &args, self.0.multiply(cx, args.clone()).await)
    }

    async fn divide(&self, cx: &Cx, args: Args) -> Result<i64, CallError> {
        log("divide", &args, self.0.divide(cx, args.clone()).await)
    }
}

fn log(method: &str, args: &Args, result: Result<i64, CallError>) -> Result<i64, CallError> {
    match &result {
        Ok(value) => println!("{method}({}, {}) = {value}", args.a, args.b),
        Err(error) => println!("{method}({}, {}) failed: {error}", args.a, args.b),
    }
    result
}

/// The user. `&dyn` in other languages; here any type that has the interface.
async fn business(arith: &impl Arith) -> Result<i64, CallError> {
    let cx = Cx::new();
    let product = arith.multiply(&cx, Args { a: 6, b: 8 }).await?;
    arith.divide(&cx, Args { a: product, b: 2 }).await
}

/// Logs every attempt, retries what broke, and breaks off where that happens too often.
pub fn careful(arith: impl Arith) -> Result<impl Arith, locum::ParseError> {
    let policies = Policies::parse(
        r#"
        [policies.careful]
        timeout = "2s"
        retry = { attempts = 3 }
        breaker = { window = "10s", min_calls = 20, failure_rate = 0.9 }
        "#,
    )?;
    let careful = policies.get("careful").expect("it stands above").clone();
    Ok(ArithProxy::wrap(Logged(arith), careful))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("bare: {:?}", business(&RealArith::default()).await);
    println!("careful: {:?}", business(&careful(RealArith::default())?).await);
    // Where the type is chosen at run time.
    let chosen: Arc<dyn DynArith> = Arc::new(careful(RealArith::default())?);
    println!("chosen: {:?}", business(&chosen).await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_proxy_makes_up_for_what_breaks() {
        let error = business(&RealArith::default()).await.unwrap_err();
        assert!(matches!(error, CallError::Transport(_)), "{error}");
        assert_eq!(business(&careful(RealArith::default()).unwrap()).await, Ok(24));
    }

    #[tokio::test]
    async fn an_error_of_the_service_is_not_tried_again() {
        let mock = ArithMock::new().on_multiply(|_, _| Err("overflow".into()));
        let error = business(&careful(mock.clone()).unwrap()).await.unwrap_err();
        assert_eq!(error, CallError::App("overflow".to_owned()));
        assert_eq!(mock.calls().len(), 1);
    }
}
