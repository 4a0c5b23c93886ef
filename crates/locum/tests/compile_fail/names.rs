use locum::CallError;

#[locum::service]
trait Store {
    async fn get_all(&self) -> Result<u64, CallError>;
    #[method(name = "GetAll")]
    async fn all(&self) -> Result<u64, CallError>;
    #[method(name = "Store.Get")]
    async fn dotted(&self) -> Result<u64, CallError>;
}

#[locum::service(name = "")]
trait Nameless {
    async fn get(&self) -> Result<u64, CallError>;
}

fn main() {}
