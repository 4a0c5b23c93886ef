//! Recorded calls, played under a policy.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, BufRead, Seek};

use locum_policy::{
    Attempt, Bound, Call, Cause, Clock as _, End, Ended, Endpoint, Exchange, Time, run,
};

use crate::agenda::Agenda;
use crate::engine::{Error, Run, advance, close, summarise};
use crate::recorder::Recorder;
use crate::summary::{Shares, Summary};
use crate::tasks::Tasks;
use crate::trace::{Line, Meets, Outcome, Reader};

/// Plays the calls of a trace under a policy. The trace is read twice: first to see that every line
/// is good, then line by line as its calls come; memory is in proportion to the calls in flight.
///
/// # Errors
///
/// Says what is wrong with the trace, before anything is played; or that the policy is out of
/// range, or that reading or writing failed.
pub fn replay<R: BufRead + Seek>(run: &mut Run<'_>, trace: R) -> Result<Summary, Error> {
    let policy = run.bind()?;
    let (trace, size) = check(trace, run)?;
    let mut reader = Reader::new(trace);
    let agenda = Agenda::default();
    let sent = Sent::default();
    let recorder = Recorder::new(run.log.take());
    let mut tasks = Tasks::new(&agenda);
    let mut id = 0;
    while let Some(line) = reader.next().map_err(Error::Read)? {
        // Somebody may have changed the file since it was found good.
        let line = line.map_err(Error::Trace)?;
        advance(&mut tasks, &policy, &recorder, line.at, |_, _| {});
        agenda.move_on(line.at);
        recorder.count_call();
        let cancel_at = line.cancel_at;
        let seed = run.call_seed(id);
        tasks.start(id, call(id, line, seed, &policy, &agenda, &recorder, &sent), cancel_at);
        // What this call set free is taken before the next one comes.
        advance(&mut tasks, &policy, &recorder, agenda.now(), |_, _| {});
        id += 1;
        if id.is_multiple_of(PULSE) {
            run.progress(0.5 + 0.5 * share(reader.bytes(), size));
        }
    }
    advance(&mut tasks, &policy, &recorder, Time::NEVER, |_, _| {});
    run.progress(1.0);
    close(tasks, &recorder);
    let shares = sent.shares();
    summarise(&agenda, &policy, recorder).map(|summary| Summary { shares, ..summary })
}

/// So many calls between two words on the progress.
const PULSE: u64 = 4_096;

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Reads all of `trace` and goes back to its beginning; tells its size as well.
fn check<R: BufRead + Seek>(mut trace: R, run: &mut Run<'_>) -> Result<(R, u64), Error> {
    let start = trace.stream_position().map_err(Error::Read)?;
    let end = trace.seek(io::SeekFrom::End(0)).map_err(Error::Read)?;
    trace.seek(io::SeekFrom::Start(start)).map_err(Error::Read)?;
    let mut reader = Reader::new(trace);
    let mut lines = 0_u64;
    while let Some(line) = reader.next().map_err(Error::Read)? {
        line.map_err(Error::Trace)?;
        lines += 1;
        if lines.is_multiple_of(PULSE) {
            run.progress(0.5 * share(reader.bytes(), end - start));
        }
    }
    let mut trace = reader.into_inner();
    trace.seek(io::SeekFrom::Start(start)).map_err(Error::Read)?;
    Ok((trace, end - start))
}

async fn call(
    id: u64,
    line: Line,
    seed: u64,
    policy: &Bound,
    agenda: &Agenda,
    recorder: &Recorder<'_>,
    sent: &Sent,
) {
    let observer = recorder.watch(id);
    let call = Call {
        method: &line.call,
        arrived: line.at,
        deadline: line.deadline.map(|deadline| line.at + deadline),
        idempotent: line.idempotent,
        cost: line.cost,
        priority: line.priority,
        attempt_above: 1,
        keys: &line,
        seed,
    };
    let exchange = Recorded { line: &line, agenda, sent, number: Cell::new(0) };
    let answer = run(policy, &call, agenda, &exchange, &observer).await;
    if let End::Ended(cause, ()) = answer.end {
        answer.held.settle(cause, agenda.now(), &observer);
    }
}

/// How many attempts were sent, by what is known of them.
#[derive(Default)]
struct Sent {
    recorded: Cell<u64>,
    modelled: Cell<u64>,
    unknown: Cell<u64>,
}

impl Sent {
    fn shares(&self) -> Option<Shares> {
        let counts = [&self.recorded, &self.modelled, &self.unknown].map(Cell::get);
        let all: u64 = counts.iter().sum();
        let [recorded, modelled, unknown] = counts.map(|count| share(count, all));
        Some(Shares { recorded, modelled, unknown })
    }
}

/// The peer of a recorded call.
struct Recorded<'a> {
    line: &'a Line,
    agenda: &'a Agenda,
    sent: &'a Sent,
    /// The number of the attempt sent last.
    number: Cell<usize>,
}

impl Recorded<'_> {
    /// What the attempt after `before` others meets.
    fn meets(&self, before: usize) -> Option<&Meets> {
        let attempts = self.line.attempts.as_deref()?;
        attempts.get(before).or_else(|| attempts.last())
    }
}

impl Exchange for Recorded<'_> {
    type Reply = ();

    /// The line says whom the next attempt meets; there is nobody else. Each attempt is at an endpoint
    /// of its own: whether a hedge had another to go to was settled when the line was written.
    fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
        let before = self.number.get();
        let named = self.meets(before).and_then(|meets| meets.endpoint.as_deref());
        let id = u32::try_from(before).unwrap_or(u32::MAX);
        Some(Endpoint { id, name: named.unwrap_or_default(), policy: None })
    }

    fn abort(&self, attempt: &Attempt<'_>, status: u16) -> Ended<()> {
        self.number.set(attempt.number as usize);
        Ended { cause: Cause::Status(status), retry_after: None, reply: () }
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<()> {
        self.number.set(attempt.number as usize);
        let before = attempt.number as usize - 1;
        let attempts = self.line.attempts.as_deref();
        let absent = Meets::default();
        let meets = self.meets(before).unwrap_or(&absent);
        let count = match attempts {
            Some([]) => &self.sent.unknown,
            Some(_) if meets.outcome == Outcome::Hang => &self.sent.unknown,
            Some(attempts) if before < attempts.len() => &self.sent.recorded,
            _ => &self.sent.modelled,
        };
        count.set(count.get() + 1);
        let end = attempt.started + meets.took.unwrap_or_default();
        let end = if meets.outcome == Outcome::Hang { Time::NEVER } else { end };
        // That its time is over is an end as well, and takes its turn among the ends.
        let _cut =
            attempt.deadline.filter(|deadline| *deadline < end).map(|cut| self.agenda.ends_by(cut));
        match end {
            Time::NEVER => pending().await,
            end => self.agenda.end_at(end).await,
        }
        let cause = match meets.outcome {
            Outcome::Success | Outcome::Hang => Cause::Reply,
            Outcome::Failure => Cause::Status(503),
            Outcome::Ignored => Cause::Status(404),
            Outcome::Overload => Cause::Status(429),
        };
        Ended { cause, retry_after: meets.retry_after, reply: () }
    }
}
