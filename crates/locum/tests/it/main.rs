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
mod lossy;
mod server;
mod service;
mod serving;
mod setup;
mod streams;
mod transport;
mod wire_streams;
mod wires;
