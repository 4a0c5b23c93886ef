//! HTTP with JSON in it, in front of servers that are called: of Go and of ours.

mod answers;
mod hostile;
mod setup;
mod types;
