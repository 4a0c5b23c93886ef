//! What tests of services and their callers need: servers in memory, over the real protocols, and
//! connections on which things go wrong on purpose.
//!
//! A test needs none of this to stand in for a service: a fake is another implementation of its trait,
//! and the generated mock is one. This is for what happens between the two.
//!
//! Nothing here sleeps but by the runtime's clock: in a test whose time is paused
//! (`#[tokio::test(start_paused = true)]`) deadlines and delays pass at once.
//!
//! ```
//! # #[locum::service]
//! # trait Arith {
//! #     #[method(idempotent)]
//! #     async fn add(&self, a: i64, b: i64) -> Result<i64, locum::CallError>;
//! # }
//! # struct RealArith;
//! # impl Arith for RealArith {
//! #     async fn add(&self, a: i64, b: i64) -> Result<i64, locum::CallError> { Ok(a + b) }
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::time::Duration;
//!
//! use locum::testing::{self, Faults};
//! use locum::{CallError, Server};
//!
//! let memory = testing::serve(Server::new().serve(ArithServer::new(RealArith)));
//! let lossy = memory.faulty(Faults { drop: 1.0, ..Faults::seeded(7) });
//! let arith = ArithProxy::connect("native://arith:1")
//!     .connector(lossy)
//!     .timeout(Duration::from_secs(2))
//!     .build()
//!     .unwrap();
//! let Err(CallError::Rejected(rejection)) = arith.add(7, 8).await else { panic!("a deadline") };
//! assert_eq!(rejection.kind, "deadline");
//! # }
//! ```

mod faults;
mod memory;

pub use faults::Faults;
pub use memory::{Connecting, Memory, serve};
