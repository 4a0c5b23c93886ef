use locum::CallError;

#[locum::service]
trait Counter {
    fn count(&self) -> Result<u64, CallError>;
}

fn main() {}
