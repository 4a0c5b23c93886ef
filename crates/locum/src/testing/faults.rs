//! Connections on which things go wrong.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use locum_policy::seed;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::transport::Io;

/// What goes wrong on a connection, and how often.
///
/// What one side writes at once is one *batch*, which has whole messages. Whatever is decided, is decided
/// for each batch, follows from the seed alone, and takes no time but the runtime's, which may be paused:
/// the same calls made in the same order fare the same way again.
///
/// ```
/// use std::time::Duration;
/// use locum::testing::Faults;
///
/// let faults = Faults {
///     delay: Duration::from_millis(1)..=Duration::from_millis(20),
///     corrupt: 0.01,
///     ..Faults::seeded(7)
/// };
/// # let _ = faults;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// What every choice follows from.
    pub seed: u64,
    /// How long a batch is on its way. Those behind it wait, as they do in TCP.
    pub delay: RangeInclusive<Duration>,
    /// Part of the batches, from 0 to 1, that vanish: their sender hears nothing of it.
    pub drop: f64,
    /// Part of the batches at which the connection breaks instead.
    pub error: f64,
    /// Part of the batches in which one bit is another.
    pub corrupt: f64,
    /// Part of the batches that are overtaken by the next, if it is sent before they arrive: it takes a
    /// delay to be overtaken. The first of a connection, which introduces its sender, never is.
    pub reorder: f64,
}

impl Faults {
    /// None yet.
    pub const fn seeded(seed: u64) -> Self {
        let delay = Duration::ZERO..=Duration::ZERO;
        Self { seed, delay, drop: 0.0, error: 0.0, corrupt: 0.0, reorder: 0.0 }
    }

    /// The same faults, decided otherwise.
    #[must_use]
    pub fn reseeded(&self, purpose: u64) -> Self {
        Self { seed: seed::mix(self.seed, purpose), ..self.clone() }
    }

    /// A connection over which what is *written* to `io` fares so. Both directions take one around each
    /// end.
    ///
    /// # Panics
    ///
    /// When used outside a Tokio runtime with time enabled.
    pub fn around(self, io: Io) -> Io {
        Io::Other(Box::new(Faulty {
            io,
            faults: self,
            batches: 0,
            queue: VecDeque::new(),
            queued: 0,
            broken: false,
            timer: None,
            full: false,
        }))
    }

    fn decide(&self, batch: u64) -> Fate {
        let word = |purpose| seed::mix(seed::mix(self.seed, batch), purpose);
        let happens = |part: f64, purpose| unit(word(purpose)) < part;
        let (least, most) = (*self.delay.start(), *self.delay.end());
        Fate {
            delay: least + most.saturating_sub(least).mul_f64(unit(word(0))),
            drop: happens(self.drop, 1),
            error: happens(self.error, 2),
            corrupt: happens(self.corrupt, 3).then(|| word(4)),
            overtaken: batch > 0 && happens(self.reorder, 5),
        }
    }
}

/// From 0 to just below 1.
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1_u64 << 53) as f64
}

/// What becomes of one batch.
struct Fate {
    delay: Duration,
    drop: bool,
    error: bool,
    /// Says which bit.
    corrupt: Option<u64>,
    overtaken: bool,
}

struct Faulty {
    io: Io,
    faults: Faults,
    /// How many were written.
    batches: u64,
    /// On their way.
    queue: VecDeque<Batch>,
    /// Bytes of those.
    queued: usize,
    broken: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the writer waits for room.
    full: bool,
}

struct Batch {
    bytes: Vec<u8>,
    /// How many of them have arrived.
    arrived: usize,
    due: Instant,
    overtaken: bool,
}

/// Bytes that may be on their way in one direction.
const ON_THE_WAY: usize = 1 << 20;

impl Faulty {
    /// Takes a batch in; or the connection breaks.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fate = self.faults.decide(self.batches);
        self.batches += 1;
        if fate.error {
            self.broken = true;
            self.queue.clear();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if fate.drop {
            return Ok(());
        }
        let mut bytes = bytes.to_vec();
        if let Some(word) = fate.corrupt {
            let bit = seed::up_to(word, bytes.len() as u64 * 8 - 1);
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
        self.queued += bytes.len();
        let batch = Batch {
            bytes,
            arrived: 0,
            due: Instant::now() + fate.delay,
            overtaken: fate.overtaken,
        };
        match self.queue.pop_back() {
            // Once only, and not in the middle of it.
            Some(mut last) if last.overtaken && last.arrived == 0 => {
                last.overtaken = false;
                self.queue.extend([batch, last]);
            }
            last => self.queue.extend(last.into_iter().chain([batch])),
        }
        Ok(())
    }

    /// Has everything arrive that is due. Ready: nothing is on its way.
    fn poll_arrive(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(batch) = self.queue.front_mut() {
            if Instant::now() < batch.due {
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(batch.due)));
                if timer.deadline() != batch.due {
                    timer.as_mut().reset(batch.due);
                }
                ready!(timer.as_mut().poll(task));
            }
            while let Some(rest) = batch.bytes.get(batch.arrived..).filter(|it| !it.is_empty()) {
                let count = ready!(Pin::new(&mut self.io).poll_write(task, rest))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                batch.arrived += count;
            }
            self.queued -= batch.bytes.len();
            self.queue.pop_front();
            if std::mem::take(&mut self.full) {
                task.waker().wake_by_ref();
            }
        }
        Pin::new(&mut self.io).poll_flush(task)
    }
}

impl AsyncRead for Faulty {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        // Whoever reads is there whenever something is due; who writes may have nothing more to say.
        // And what cannot arrive any more is no reason not to hear what the peer said before it went.
        if let Poll::Ready(Err(_)) = this.poll_arrive(task) {
            this.queue.clear();
        }
        Pin::new(&mut this.io).poll_read(task, into)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.queued >= ON_THE_WAY {
            this.full = true;
            ready!(this.poll_arrive(task))?;
        }
        this.take(bytes)?;
        // What is on its way arrives by itself; what goes wrong there is seen by the next.
        let _ = this.poll_arrive(task)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// What is on its way has left.
    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().poll_arrive(task) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_arrive(task))?;
        Pin::new(&mut this.io).poll_shutdown(task)
    }
}
