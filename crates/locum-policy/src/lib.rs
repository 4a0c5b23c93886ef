//! How one remote call is tried.
//!
//! A [`Policy`] holds gates (rate limits, concurrency, deadline, retry, breaker); [`run`] walks one
//! call through them. Everything that decides is a plain struct with plain methods: time comes in
//! as [`Time`], randomness as a seed, so the same calls at the same times give the same decisions
//! in a program, in a proxy and in a simulator.
//!
//! This crate knows no socket and no protocol. Begin at [`run`](run::run).

mod buckets;
pub mod call;
pub mod clock;
pub mod event;
pub mod gates;
pub mod outcome;
pub mod policy;
mod ratio;
pub mod rejection;
pub mod run;
mod seed;
#[cfg(feature = "serde")]
mod serial;
pub mod settings;
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
