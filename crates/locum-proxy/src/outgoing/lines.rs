//! Connections to servers that are asked, kept by a worker from one question to the next.

use std::cell::RefCell;
use std::time::Duration;

use locum_policy::Time;
use rustc_hash::FxHashMap;

use super::Line;

/// The idle ones of one worker, by their servers.
#[derive(Default)]
pub(crate) struct Lines(RefCell<FxHashMap<u32, Vec<(Line, Time)>>>);

/// Idle connections that are kept to one server, and for how long.
const KEPT: usize = 16;
const IDLE: Duration = Duration::from_secs(30);

impl Lines {
    /// One that its server has not closed.
    pub(crate) fn take(&self, server: u32) -> Option<Line> {
        let mut idle = self.0.borrow_mut();
        let kept = idle.get_mut(&server)?;
        std::iter::from_fn(|| kept.pop()).find_map(|(mut line, _)| line.is_quiet().then_some(line))
    }

    pub(crate) fn give(&self, server: u32, line: Line, now: Time) {
        let mut idle = self.0.borrow_mut();
        let kept = idle.entry(server).or_default();
        if kept.len() < KEPT {
            kept.push((line, now));
        }
    }

    /// Closes what has been idle for too long, or was closed.
    pub(crate) fn sweep(&self, now: Time) {
        self.0.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|(line, since)| now.since(*since) < IDLE && line.is_quiet());
            !kept.is_empty()
        });
    }
}
