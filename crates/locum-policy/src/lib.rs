//! How one remote call is tried.
//!
//! A [`Policy`] holds gates (rate limits, concurrency, deadline, retry, breaker); [`run()`] walks one
//! call through them. Everything that decides is a plain struct with plain methods: time comes in
//! as [`Time`], randomness as a seed, so the same calls at the same times give the same decisions
//! in a program, in a proxy and in a simulator.
//!
//! ```
//! use std::future::{Future, pending};
//! use std::time::Duration;
//!
//! use locum_policy::{
//!     Attempt, Call, Cause, Clock, End, Ended, Endpoint, Exchange, Policy, Settings, Time, run,
//! };
//!
//! /// A clock; a real one sleeps.
//! struct Still;
//!
//! impl Clock for Still {
//!     fn now(&self) -> Time {
//!         Time::ZERO
//!     }
//!
//!     fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
//!         pending()
//!     }
//! }
//!
//! /// A protocol; a real one sends.
//! struct Echo;
//!
//! impl Exchange for Echo {
//!     type Reply = &'static str;
//!
//!     fn pick(&self, _tried: &[u32], _now: Time) -> Option<Endpoint<'_>> {
//!         Some(Endpoint { id: 0, name: "10.0.0.1:7001", policy: None })
//!     }
//!
//!     async fn send(&self, attempt: &Attempt<'_>) -> Ended<&'static str> {
//!         assert_eq!(attempt.deadline, Some(Time::from_millis(500)));
//!         Ended { cause: Cause::Reply, retry_after: None, reply: "hello" }
//!     }
//!
//!     fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<&'static str> {
//!         Ended { cause: Cause::Status(status), retry_after: None, reply: "" }
//!     }
//! }
//!
//! # fn main() -> Result<(), locum_policy::settings::Error> {
//! let settings = Settings {
//!     attempt_timeout: Some(Duration::from_millis(500)),
//!     breaker: Some(Default::default()),
//!     ..Settings::default()
//! };
//! let policy = Policy::build("careful", &settings, 1, None)?.bind("echo");
//! let call = Call {
//!     method: "Echo.Say",
//!     arrived: Time::ZERO,
//!     deadline: None,
//!     idempotent: true,
//!     cost: 1,
//!     priority: 1,
//!     attempt_above: 1,
//!     keys: &(),
//!     seed: 7,
//! };
//! let work = async {
//!     let answer = run(&policy, &call, &Still, &Echo, &()).await;
//!     let End::Ended(cause, reply) = answer.end else { panic!("refused") };
//!     // Once the body has been read to its end:
//!     answer.held.settle(cause, Still.now(), &());
//!     assert_eq!(reply, "hello");
//! };
//! # use std::{pin::pin, task::{Context, Waker}};
//! # assert!(pin!(work).poll(&mut Context::from_waker(Waker::noop())).is_ready());
//! # Ok(())
//! # }
//! ```
//!
//! This crate knows no socket and no protocol. Begin at [`run()`](run::run).

#![warn(missing_docs)]

pub mod balance;
mod buckets;
pub mod call;
pub mod clock;
pub mod decision_log;
pub mod event;
pub mod gates;
pub mod outcome;
pub mod policy;
#[cfg(all(test, feature = "loom"))]
mod races;
mod ratio;
pub mod rejection;
pub mod run;
pub mod seed;
#[cfg(feature = "serde")]
mod serial;
pub mod settings;
mod sync;
mod tap;
pub mod text;
pub mod time;

pub use call::{Call, Key, Keys};
pub use clock::Clock;
pub use event::{Event, Observer, Outcome};
pub use gates::Kind;
pub use outcome::{Cause, Class};
pub use policy::{Bound, Policy};
pub use rejection::{LimitState, Rejection};
pub use run::{Answer, Attempt, AttemptKind, End, Ended, Endpoint, Exchange, Held, run};
pub use settings::{Mode, Settings};
pub use time::Time;
