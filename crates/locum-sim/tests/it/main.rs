//! Traces and scenarios, held against the worked sequences and against results from outside.

#![expect(unreachable_pub, reason = "modules of one test binary")]

mod laws;
mod model;
mod order;
mod scenario;
mod setup;
mod theory;
mod trace;
mod worked;
