//! The library, as a program uses it.

mod client;
mod file;
mod server;
mod setup;
mod transport;
