use locum::CallError;

#[derive(Debug)]
enum Broken {
    Badly,
}

#[locum::service]
trait Shop {
    async fn open(&self) -> Result<u64, CallError<Broken>>;
}

fn main() {}
