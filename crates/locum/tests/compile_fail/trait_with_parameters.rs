use locum::{CallError, Cx};

#[locum::service]
trait Store<K> {
    async fn get(&self, cx: &Cx, key: u64) -> Result<u64, CallError>;
}

fn main() {}
