//! The library, as a program uses it.

mod channel;
mod client;
mod conformance;
mod file;
mod server;
mod service;
mod serving;
mod setup;
mod transport;
