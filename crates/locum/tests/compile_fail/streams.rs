use locum::{CallError, Stream};

#[locum::service]
trait Feed {
    async fn first(&self, items: impl Stream<Item = u64>, to: u64) -> Result<u64, CallError>;
    async fn inside(&self, items: Vec<impl Stream<Item = u64>>) -> Result<u64, CallError>;
    async fn bare(&self) -> Result<impl Stream<Item = u64>, CallError>;
    async fn other(&self) -> Result<impl Stream<Item = Result<u64, CallError<u8>>>, CallError>;
    async fn alone(&self) -> impl Stream<Item = Result<u64, CallError>>;
    async fn lent(&self, items: impl Stream<Item = &str>) -> Result<u64, CallError>;
}

fn main() {}
