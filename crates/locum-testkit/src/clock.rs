//! The clock of the tests, and the one way to wait for a state.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something that should happen at once. It is a ceiling for a busy
/// machine, not an expectation.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the tests")]
pub fn now() -> Instant {
    Instant::now()
}

/// Looks at a state again and again until it holds.
///
/// # Panics
///
/// When it does not hold within [`PATIENCE`]; the message says what was waited for.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        pause();
    }
}

/// A breath between two looks.
pub(crate) fn pause() {
    thread::park_timeout(Duration::from_millis(2));
}
