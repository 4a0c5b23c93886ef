//! The library, as a program uses it.

mod channel;
mod client;
mod compile;
mod conformance;
mod cx;
mod error;
mod faults;
mod file;
mod local;
mod server;
mod service;
mod serving;
mod setup;
mod streams;
mod transport;
mod wire_streams;
mod wires;
