//! What is made of a trait.

use std::sync::Arc;

use locum::{CallError, Cx};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Args {
    #[serde(rename = "A")]
    a: i64,
    #[serde(rename = "B")]
    b: i64,
}

/// Arithmetic.
#[locum::service]
pub(crate) trait Arith {
    /// Multiplies.
    #[method(idempotent)]
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;

    async fn add(&self, a: i64, b: i64) -> Result<i64, CallError>;
}

struct Real;

impl Arith for Real {
    async fn multiply(&self, _: &Cx, args: Args) -> Result<i64, CallError> {
        Ok(args.a * args.b)
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64, CallError> {
        Ok(a + b)
    }
}

async fn business(arith: &impl Arith) -> Result<i64, CallError> {
    let product = arith.multiply(&Cx::new(), Args { a: 6, b: 7 }).await?;
    arith.add(product, 1).await
}

#[tokio::test]
async fn whatever_holds_a_service_is_one() {
    assert_eq!(business(&Real).await, Ok(43));
    let boxed: Arc<dyn DynArith> = Arc::new(ArithProxy::wrap(Real, None));
    assert_eq!(business(&boxed).await, Ok(43));
}
