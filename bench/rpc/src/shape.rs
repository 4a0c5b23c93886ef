//! What is measured, and for how long.

use std::time::Duration;

/// A load, and whose processor time is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// On each connection.
    pub(crate) callers: usize,
    pub(crate) connections: usize,
    /// Of the argument: 8 are a multiplication, more are echoed.
    pub(crate) bytes: usize,
    /// The server's process.
    pub(crate) server: u32,
    /// That of the server behind it, if it is a proxy.
    pub(crate) behind: Option<u32>,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}
