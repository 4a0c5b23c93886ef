//! The service of net/rpc's own example: what is timed, and what is counted.

use locum::{CallError, Cx};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Args {
    pub(crate) a: i64,
    pub(crate) b: i64,
}

#[locum::service]
pub(crate) trait Arith {
    #[method(idempotent)]
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;
}

pub(crate) struct RealArith;

impl Arith for RealArith {
    async fn multiply(&self, _: &Cx, args: Args) -> Result<i64, CallError> {
        Ok(args.a.wrapping_mul(args.b))
    }
}
