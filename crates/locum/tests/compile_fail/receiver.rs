use locum::CallError;

#[locum::service]
trait Counter {
    async fn reset(&mut self) -> Result<(), CallError>;
    async fn finish(self) -> Result<(), CallError>;
    async fn shared(self: std::sync::Arc<Self>) -> Result<(), CallError>;
    async fn nobody(by: u64) -> Result<(), CallError>;
    async fn nothing() -> Result<(), CallError>;
}

fn main() {}
