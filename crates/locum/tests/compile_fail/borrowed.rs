use std::borrow::Cow;

use locum::CallError;

#[locum::service]
trait Store {
    async fn get(&self, key: &str) -> Result<u64, CallError>;
    async fn put(&self, values: Vec<&[u8]>) -> Result<u64, CallError>;
    async fn look(&self, at: &u64) -> Result<u64, CallError>;
    async fn say(&self, text: Cow<'static, str>) -> Result<u64, CallError>;
    async fn name(&self) -> Result<&str, CallError>;
}

fn main() {}
