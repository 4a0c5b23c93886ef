//! What tests of services and their callers need: connections on which things go wrong on purpose.

mod faults;

pub use faults::Faults;
