use locum::CallError;

#[locum::service]
trait Store {
    async fn get(&self) -> u64;
    async fn put(&self);
    async fn other(&self) -> Result<u64, String>;
    async fn alias(&self) -> std::io::Result<u64>;
    async fn option(&self) -> Option<Result<u64, CallError>>;
}

fn main() {}
