//! A closed loop: each caller makes one call after the other.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use crate::Result;
use crate::shape::Shape;
use crate::window::{Phase, Spent, Window};

/// What was measured.
#[derive(Debug)]
pub(crate) struct Report {
    spent: Spent,
    // In nanoseconds, in order.
    latencies: Vec<u32>,
}

/// Makes the calls of all callers and waits for the end. `call` makes one, on the connection of that
/// number.
pub(crate) async fn drive<F, Fut>(shape: Shape, call: F) -> Result<Report>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let (window, closed) = Window::start(&shape);
    let callers: Vec<_> = (0..shape.connections * shape.callers)
        .map(|n| tokio::spawn(caller(call.clone(), n % shape.connections, Arc::clone(&window))))
        .collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.append(&mut caller.await??);
    }
    Report::new(closed.join().expect("the window's thread does not panic")?, latencies)
}

/// The same for what has to stay on its thread.
pub(crate) async fn drive_local<F, Fut>(shape: Shape, call: F) -> Result<Report>
where
    F: Fn(usize) -> Fut + Clone + 'static,
    Fut: Future<Output = Result<()>> + 'static,
{
    let (window, closed) = Window::start(&shape);
    let callers: Vec<_> = (0..shape.connections * shape.callers)
        .map(|n| {
            let caller = caller(call.clone(), n % shape.connections, Arc::clone(&window));
            tokio::task::spawn_local(caller)
        })
        .collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.append(&mut caller.await??);
    }
    Report::new(closed.join().expect("the window's thread does not panic")?, latencies)
}

async fn caller<F, Fut>(call: F, connection: usize, window: Arc<Window>) -> Result<Vec<u32>>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let mut latencies = Vec::new();
    let mut begin = Instant::now();
    loop {
        call(connection).await?;
        let end = Instant::now();
        match window.phase() {
            Phase::WarmUp => {}
            Phase::Measured => {
                let taken = end.duration_since(begin).as_nanos();
                latencies.push(u32::try_from(taken).unwrap_or(u32::MAX));
            }
            Phase::Over => return Ok(latencies),
        }
        begin = end;
    }
}

impl Report {
    fn new(spent: Spent, mut latencies: Vec<u32>) -> Result<Self> {
        if latencies.is_empty() {
            return Err("no call ended while it was measured".into());
        }
        latencies.sort_unstable();
        Ok(Self { spent, latencies })
    }

    /// The latency that so many of a hundred calls stay below, in microseconds.
    fn percentile(&self, of_a_hundred: usize) -> f64 {
        let at = self.latencies.len() * of_a_hundred / 100;
        f64::from(self.latencies[at.min(self.latencies.len() - 1)]) / 1e3
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.latencies.len() as f64;
        write!(
            f,
            r#"{{"calls":{calls},"rate":{:.0},"p50":{:.1},"p99":{:.1},"server":{:.4},"behind":{:.4},"client":{:.4}}}"#,
            calls / self.spent.time.as_secs_f64(),
            self.percentile(50),
            self.percentile(99),
            self.spent.server.as_secs_f64() * 1e6 / calls,
            self.spent.behind.as_secs_f64() * 1e6 / calls,
            self.spent.client.as_secs_f64() * 1e6 / calls,
        )
    }
}
