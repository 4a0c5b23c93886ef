use locum::CallError;

#[locum::service(retries = 3)]
trait Store {
    async fn get(&self) -> Result<u64, CallError>;
}

#[locum::service]
trait Other {
    #[method(idempotentt)]
    async fn get(&self) -> Result<u64, CallError>;
    #[cfg(unix)]
    async fn unix(&self) -> Result<u64, CallError>;
}

#[locum::service]
struct NoTrait;

fn main() {}
