//! The policy engine in virtual time: nothing here sleeps.

#![expect(unreachable_pub, reason = "modules of one test binary")]

mod allocation;
mod balance;
mod breaker;
mod clock;
mod concurrency;
mod deadline;
mod fallback;
mod fault;
mod hedge;
mod limits;
mod limits_model;
mod model;
#[cfg(feature = "serde")]
mod pages;
mod queue;
mod rate_limit;
mod retry;
mod run;
#[cfg(feature = "serde")]
mod settings;
mod switch;
mod throttle;
mod world;
