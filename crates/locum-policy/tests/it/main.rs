//! The policy engine in virtual time: nothing here sleeps.

#![expect(unreachable_pub, reason = "modules of one test binary")]

mod run;
mod world;
