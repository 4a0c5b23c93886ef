//! The window in which calls are counted: opened and closed by a thread of its own, which reads the
//! processor times of both sides at the same moments.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::shape::Shape;

/// Whether calls are counted now.
#[derive(Debug)]
pub(crate) struct Window(AtomicU8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// How long the window was open, and the processor time that went by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    pub(crate) server: Duration,
    /// Of who stands behind the server, if anybody does.
    pub(crate) behind: Duration,
    pub(crate) client: Duration,
}

impl Window {
    /// Opens it after the warm-up and closes it again.
    pub(crate) fn start(shape: &Shape) -> (Arc<Self>, JoinHandle<std::io::Result<Spent>>) {
        let window = Arc::new(Self(AtomicU8::new(0)));
        let (shared, shape) = (Arc::clone(&window), *shape);
        let thread = thread::spawn(move || {
            let spent = shared.run(&shape);
            shared.0.store(2, Ordering::Relaxed);
            spent
        });
        (window, thread)
    }

    fn run(&self, shape: &Shape) -> std::io::Result<Spent> {
        let all = || {
            let behind = shape.behind.map_or(Ok(Duration::ZERO), processor_time)?;
            Ok::<_, std::io::Error>([
                processor_time(shape.server)?,
                behind,
                processor_time(std::process::id())?,
            ])
        };
        thread::sleep(shape.warm_up);
        let before = all()?;
        self.0.store(1, Ordering::Relaxed);
        let begin = Instant::now();
        thread::sleep(shape.measured);
        self.0.store(2, Ordering::Relaxed);
        let time = begin.elapsed();
        let after = all()?;
        let [server, behind, client] = [0, 1, 2].map(|of| after[of] - before[of]);
        Ok(Spent { time, server, behind, client })
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::WarmUp,
            1 => Phase::Measured,
            _ => Phase::Over,
        }
    }
}

/// Processor time of a process so far, all its threads together.
fn processor_time(process: u32) -> std::io::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}
