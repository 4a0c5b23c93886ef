use locum::CallError;

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    id: u64,
}

#[locum::service]
trait Shop {
    #[method(idempotent)]
    async fn place(&self, order: Order) -> Result<u64, CallError>;
}

fn main() {}
