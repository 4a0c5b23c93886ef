//! The programs of docs/rpc.md and of the README, in one piece: whatever code stands there stands here too.
//!
//!     cargo run -p locum --example guide

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use locum::{AppError, CallError, Cx, Delivery, Policies, Policy, Server, Stream};
use serde::{Deserialize, Serialize};

/// Go calls these fields `A` and `B`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Args {
    pub a: i64,
    pub b: i64,
}

#[locum::service(name = "Arith")]
pub trait Arith {
    /// Doing it twice does no harm, so it may be retried and hedged.
    #[method(idempotent)]
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;
    async fn divide(&self, cx: &Cx, args: Args) -> Result<i64, CallError<ArithError>>;
}

pub struct RealArith;

impl Arith for RealArith {
    async fn multiply(&self, _: &Cx, args: Args) -> Result<i64, CallError> {
        args.a.checked_mul(args.b).ok_or_else(|| "overflow".into())
    }

    async fn divide(&self, _: &Cx, args: Args) -> Result<i64, CallError<ArithError>> {
        if args.b == 0 {
            Err(ArithError::DivideByZero)?;
        }
        Ok(args.a.wrapping_div(args.b))
    }
}

#[derive(Debug, PartialEq, AppError)]
pub enum ArithError {
    DivideByZero,
    #[app_error(other)]
    Other(String),
}

impl fmt::Display for ArithError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DivideByZero => f.write_str("divide by zero"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

pub async fn serve() -> Result<(), Box<dyn Error>> {
    Server::new().serve(ArithServer::new(RealArith)).listen("tcp://0.0.0.0:1234").run().await?;
    Ok(())
}

pub async fn call(careful: Policy) -> Result<i64, Box<dyn Error>> {
    let arith = ArithProxy::connect("gob://127.0.0.1:1234").policy(careful).build()?;
    let product = arith.multiply(&Cx::new(), Args { a: 6, b: 7 }).await?;
    Ok(product)
}

async fn area(arith: &impl Arith, cx: &Cx) -> Result<i64, CallError> {
    arith.multiply(cx, Args { a: 6, b: 7 }).await
}

pub async fn in_time(arith: &impl Arith) -> Result<i64, CallError> {
    let cx = Cx::new().with_timeout(Duration::from_millis(500)).with_metadata("tenant", "blue");
    area(arith, &cx).await
}

pub fn policy() -> Result<Policy, locum::ParseError> {
    let policies = Policies::parse(
        r#"
        [policies.careful]
        timeout = "2s"
        retry = { attempts = 3 }
        breaker = { window = "10s", min_calls = 20, failure_rate = 0.5 }
        "#,
    )?;
    Ok(policies.get("careful").expect("it stands above").clone())
}

pub fn wrapped(careful: Policy) -> ArithProxy<locum::Local<RealArith>> {
    ArithProxy::wrap(RealArith, careful)
}

pub async fn told(arith: &impl Arith, cx: &Cx) -> Result<i64, CallError<ArithError>> {
    match arith.divide(cx, Args { a: 1, b: 0 }).await {
        Err(CallError::App(ArithError::DivideByZero)) => Ok(0),
        Err(error) if error.delivery() != Delivery::MaybeProcessed => {
            // Nobody began it: it may be asked of somebody else.
            Err(error)
        }
        other => other,
    }
}

#[locum::service]
pub trait Feed {
    async fn count(&self, to: u64)
    -> Result<impl Stream<Item = Result<u64, CallError>>, CallError>;
    async fn sum(&self, numbers: impl Stream<Item = u64>) -> Result<u64, CallError>;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arith: Arc<dyn DynArith> = Arc::new(wrapped(policy()?));
    println!("{:?}", area(&arith, &Cx::new()).await);
    println!("{:?}", in_time(&arith).await);
    println!("{:?}", told(&arith, &Cx::new()).await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use locum::testing::{self, Faults};

    use super::*;

    #[tokio::test]
    async fn business_is_done() {
        let mock = ArithMock::new().on_multiply(|_, args| Ok(args.a * args.b));
        assert_eq!(area(&mock, &Cx::new()).await, Ok(42));
        assert_eq!(mock.calls()[0].to_string(), "Arith.Multiply(Args { a: 6, b: 7 })");
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_connection_is_not_seen() {
        let memory = testing::serve(Server::new().serve(ArithServer::new(RealArith)));
        let breaking = memory.faulty(Faults { error: 0.1, ..Faults::seeded(7) });
        let proxy = ArithProxy::connect("native://arith:1").connector(breaking);
        let arith = proxy.policy(policy().unwrap()).build().unwrap();
        for _ in 0..20 {
            assert_eq!(area(&arith, &Cx::new()).await, Ok(42));
        }
    }

    #[tokio::test]
    async fn what_the_guide_says_holds() {
        let arith = wrapped(policy().unwrap());
        assert_eq!(in_time(&arith).await, Ok(42));
        assert_eq!(told(&arith, &Cx::new()).await, Ok(0));
        assert_eq!(FEED_SPEC.methods.len(), 2);
    }

    /// The lines of `text` however far they are indented.
    fn lines(text: &str) -> String {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Each piece of Rust on `page`, which pages cut where `// …` stands.
    fn stand_here(page: &str) {
        let here = lines(include_str!("guide.rs"));
        let blocks = page.split("```rust\n").skip(1).filter_map(|block| block.split("```").next());
        for piece in blocks.flat_map(|block| block.split("// …")) {
            let piece = lines(piece);
            let piece = piece.trim_start_matches("}\n").trim_end_matches("\n}");
            assert!(here.contains(piece), "not in this file:\n{piece}");
        }
    }

    #[test]
    fn whatever_code_the_guide_shows_stands_here() {
        stand_here(include_str!("../../../docs/rpc.md"));
    }

    #[test]
    fn the_service_of_the_readme_stands_here() {
        let readme = include_str!("../../../README.md");
        let service = readme.split("## Write a service").nth(1).unwrap();
        stand_here(service.split("\n## ").next().unwrap());
    }
}
