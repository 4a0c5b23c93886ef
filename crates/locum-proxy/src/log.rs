//! Logs, line by line.
//!
//! Workers append to a buffer; a thread of its own writes it out. A disk that is full or slow never
//! holds up a call: lines that do not fit are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// An open log, shared by all workers.
pub(crate) struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A worker's end of the log.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    reopen: bool,
    closed: bool,
}

/// Bytes that may wait to be written.
const WAITING: usize = 4 * 1024 * 1024;
/// Failures to write are complained of once in so many batches, not each time.
const COMPLAINT_EVERY: u64 = 1000;

impl Log {
    /// Opens `target` and starts its writer.
    ///
    /// # Errors
    ///
    /// The file cannot be opened for appending.
    pub(crate) fn open(target: Target) -> io::Result<Self> {
        let mut sink = Sink::open(&target)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("locum-log".into())
            .spawn(move || of_thread.write_out(&target, &mut sink))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Opens the file anew, for whoever rotates logs.
    pub(crate) fn reopen(&self) {
        self.shared.state().reopen = true;
        self.shared.filled.notify_one();
    }

    /// Bytes that could not be written so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer(Arc::clone(&self.shared))
    }
}

impl Drop for Log {
    /// Writes out what is left.
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

enum Sink {
    Stdout(io::Stdout),
    File(File),
}

impl Sink {
    fn open(target: &Target) -> io::Result<Self> {
        match target {
            Target::Stdout => Ok(Self::Stdout(io::stdout())),
            Target::File(path) => {
                OpenOptions::new().create(true).append(true).open(path).map(Self::File)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(bytes),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, target: &Target, sink: &mut Sink) {
        let mut batch = Vec::new();
        let mut failures = 0_u64;
        loop {
            let (reopen, closed) = {
                let mut state = self.state();
                while state.buffer.is_empty() && !state.reopen && !state.closed {
                    state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                std::mem::swap(&mut batch, &mut state.buffer);
                (std::mem::take(&mut state.reopen), state.closed)
            };
            let written = sink.write(&batch);
            if let Err(error) = written {
                self.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if failures.is_multiple_of(COMPLAINT_EVERY) {
                    tracing::error!(%error, "cannot write a log; its lines are dropped");
                }
                failures += 1;
            }
            batch.clear();
            if reopen {
                match Sink::open(target) {
                    Ok(new) => *sink = new,
                    Err(error) => tracing::error!(%error, "cannot open a log anew"),
                }
            }
            if closed {
                return;
            }
            // Lines of the next moment share a system call.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Writer {
    /// Adds a line, its end included, or several.
    pub(crate) fn write(&self, line: &[u8]) {
        let mut state = self.0.state();
        if state.buffer.len() + line.len() > WAITING {
            self.0.dropped.fetch_add(line.len() as u64, Ordering::Relaxed);
            return;
        }
        let was_empty = state.buffer.is_empty();
        state.buffer.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.0.filled.notify_one();
        }
    }
}
