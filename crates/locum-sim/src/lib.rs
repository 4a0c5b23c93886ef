//! Traces and scenarios, played through the policy engine in virtual time.
//!
//! [`replay`] plays recorded calls under a policy; [`play`] plays a [`Scenario`], whose traffic
//! and servers are models. Both run the engine itself, `locum_policy::run`, with a clock that jumps
//! from one thing that happens to the next, and both answer with a [`Summary`] and, if asked, the
//! decision log. The same input with the same seed gives the same log, byte for byte.
//!
//! ```
//! use std::io::Cursor;
//!
//! use locum_policy::Settings;
//! use locum_sim::{Run, replay};
//!
//! # fn main() -> Result<(), locum_sim::Error> {
//! let settings = Settings { breaker: Some(Default::default()), ..Settings::default() };
//! let trace = r#"{"at": 0, "attempts": [{"took": 50, "outcome": "failure"}]}"#;
//! let mut log = Vec::new();
//! let mut run = Run { log: Some(&mut log), ..Run::new(Some(("careful", &settings))) };
//! let summary = replay(&mut run, Cursor::new(trace))?;
//! assert_eq!((summary.calls, summary.outcomes.failure), (1, 1));
//! assert!(log.ends_with(b"{\"t\":50,\"id\":0,\"event\":\"done\",\"outcome\":\"failure\",\"attempts\":1,\"took\":50}\n"));
//! # Ok(())
//! # }
//! ```
//!
//! This crate reads no file and knows no wall clock.

#![warn(missing_docs)]

mod agenda;
mod engine;
mod fleet;
mod histogram;
mod play;
mod recorder;
mod replay;
pub mod scenario;
mod service;
pub mod summary;
mod tasks;
pub mod trace;
mod traffic;

pub use engine::{Error, Run};
pub use play::play;
pub use replay::replay;
pub use scenario::Scenario;
pub use service::{Distribution, Service};
pub use summary::Summary;
