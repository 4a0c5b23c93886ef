//! What the runtime watches for us that is no connection.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime of this thread tell when there is something to read.
///
/// # Errors
///
/// The system cannot watch one more.
#[expect(
    deprecated,
    reason = "the safe way to make one, and sound: the descriptor is owned, so nobody else closes it"
)]
pub(crate) fn readable<T: AsFd + AsRawFd>(source: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(source, Interest::READABLE)
}
