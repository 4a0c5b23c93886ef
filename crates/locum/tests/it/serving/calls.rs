//! What becomes of one call.

use locum_wire::rpc::{Class, Protocol};

use super::peer::{failure, reply};
use super::world::{Args, World};

#[tokio::test(start_paused = true)]
async fn calls_are_answered() {
    let world = World::new().await;
    let mut client = world.dial().await.client(Protocol::Native);
    let args = Args { a: 6, b: 7 };
    assert_eq!(client.call::<_, i64>("Work.Multiply", &args).await, reply(0, 42));
    assert_eq!(client.call::<_, u64>("Work.Wait", &5u64).await, reply(1, 5));
    assert_eq!(client.call::<_, u64>("Work.Toil", &5u64).await, reply(2, 5));
    let failed = client.call::<_, i64>("Work.Divide", &Args { a: 1, b: 0 }).await;
    assert_eq!(failed, failure(3, Class::App, "divide by zero"));
}
