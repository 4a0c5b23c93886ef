use locum::{CallError, Cx};

#[locum::service]
trait Store {
    async fn owned(&self, cx: Cx) -> Result<u64, CallError>;
    async fn late(&self, key: u64, cx: &Cx) -> Result<u64, CallError>;
    async fn changed(&self, cx: &mut Cx) -> Result<u64, CallError>;
}

fn main() {}
