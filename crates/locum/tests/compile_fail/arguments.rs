use locum::CallError;

#[locum::service]
trait Store {
    async fn tuple(&self, (a, b): (u64, u64)) -> Result<u64, CallError>;
    async fn nameless(&self, _: u64) -> Result<u64, CallError>;
    async fn any(&self, items: impl Iterator<Item = u64>) -> Result<u64, CallError>;
    async fn marked(&self, #[serde(default)] a: u64) -> Result<u64, CallError>;
}

fn main() {}
