use locum::CallError;

#[locum::service]
trait Store {
    async fn put<T: serde::Serialize>(&self, value: T) -> Result<(), CallError>;
    async fn get<'a>(&'a self) -> Result<u64, CallError>;
}

fn main() {}
