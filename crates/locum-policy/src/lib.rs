//! How one remote call is tried.
//!
//! A [`Policy`] holds gates (rate limits, concurrency, deadline, retry, breaker); [`run`] walks one
//! call through them. Everything that decides is a plain struct with plain methods: time comes in
//! as [`Time`], randomness as a seed, so the same calls at the same times give the same decisions
//! in a program, in a proxy and in a simulator.
//!
//! This crate knows no socket and no protocol. Begin at [`run`](run::run).

pub mod call;
pub mod clock;
pub mod event;
pub mod outcome;
pub mod rejection;
pub mod run;
pub mod time;

pub use call::{Call, Key, Keys};
pub use clock::Clock;
pub use event::{Event, Observer};
pub use outcome::{Cause, Class};
pub use rejection::{Kind, Rejection};
pub use run::{Answer, Attempt, AttemptKind, End, Ended, Endpoint, Exchange, Held, run};
pub use time::Time;
