use locum::{CallError, Cx};

#[locum::service]
trait Store: Clone {
    type Key;
    const LIMIT: usize;

    async fn get(&self, cx: &Cx, key: u64) -> Result<u64, CallError>;
}

#[locum::service]
trait Empty {}

#[locum::service]
unsafe trait Dangerous {
    async fn get(&self) -> Result<u64, CallError>;
}

fn main() {}
