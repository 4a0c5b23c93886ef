//! A run: a policy, a seed, where the log goes; and the loop that lets things happen.

use std::future::Future;
use std::io::{self, Write};
use std::{error, fmt};

use locum_policy::gates::breaker::Per;
use locum_policy::seed::of_call;
use locum_policy::{Bound, Clock as _, Policy, Settings, Time, settings};

use crate::agenda::Agenda;
use crate::recorder::Recorder;
use crate::summary::Summary;
use crate::tasks::{Step, Tasks};
use crate::trace;

/// What a run needs beside its calls.
pub struct Run<'a> {
    /// The policy's name and settings; absent: calls are tried once, and only their callers' deadlines
    /// are kept.
    pub policy: Option<(&'a str, &'a Settings)>,
    /// Feeds every random choice.
    pub seed: u64,
    /// Where the decision log goes, in pieces of about 64 KiB.
    pub log: Option<&'a mut dyn Write>,
    /// Is told now and then which share of the work is done, from 0 to 1.
    pub progress: Option<&'a mut dyn FnMut(f64)>,
}

impl<'a> Run<'a> {
    /// A run under `policy` with seed 1, without a log.
    pub const fn new(policy: Option<(&'a str, &'a Settings)>) -> Self {
        Self { policy, seed: 1, log: None, progress: None }
    }

    pub(crate) fn bind(&self) -> Result<Bound, Error> {
        let Some((name, settings)) = self.policy else { return Ok(Bound::open()) };
        let policy = Policy::build(name, settings, self.seed, None).map_err(Error::Policy)?;
        Ok(policy.bind("upstream"))
    }

    pub(crate) fn progress(&mut self, share: f64) {
        if let Some(progress) = &mut self.progress {
            progress(share);
        }
    }

    /// The seed of call `id`.
    pub(crate) const fn call_seed(&self, id: u64) -> u64 {
        of_call(self.seed, id)
    }
}

/// Why there is no summary.
#[derive(Debug)]
pub enum Error {
    /// A setting of the policy is out of range.
    Policy(settings::Error),
    /// A line of the trace is not what it should be; nothing was played.
    Trace(trace::Error),
    /// The trace could not be read.
    Read(io::Error),
    /// The log could not be written.
    Log(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(_) => f.write_str("a setting of the policy is out of range"),
            Self::Trace(error) => error.fmt(f),
            Self::Read(_) => f.write_str("the trace could not be read"),
            Self::Log(_) => f.write_str("the decision log could not be written"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Policy(error) => Some(error),
            Self::Trace(_) => None,
            Self::Read(error) | Self::Log(error) => Some(error),
        }
    }
}

/// Lets happen what is due at or before `to`. `outside` is told of what is no task's.
pub(crate) fn advance<F: Future<Output = ()>>(
    tasks: &mut Tasks<'_, F>,
    policy: &Bound,
    recorder: &Recorder<'_>,
    to: Time,
    mut outside: impl FnMut(&mut Tasks<'_, F>, u64),
) {
    let agenda = tasks.agenda();
    loop {
        follow_breakers(agenda, policy, recorder);
        match tasks.step(to) {
            Step::Idle => return,
            Step::Task => {}
            Step::Tick => {
                if let Some(policy) = policy.policy() {
                    // No call's number: a change of state belongs to none.
                    policy.tick(agenda.now(), &recorder.watch(0));
                }
            }
            Step::Outside(number) => outside(tasks, number),
        }
    }
}

/// A lease and a ramp end on time, not at the next call.
fn follow_breakers(agenda: &Agenda, policy: &Bound, recorder: &Recorder<'_>) {
    let due = match policy.policy() {
        Some(policy) if recorder.is_restless() => policy.due(),
        _ => None,
    };
    agenda.set_tick(due);
}

/// Gives up the calls that nothing has ended.
pub(crate) fn close<F: Future<Output = ()>>(mut tasks: Tasks<'_, F>, recorder: &Recorder<'_>) {
    recorder.close();
    tasks.abandon();
}

/// What it came to, at the last thing that happened.
pub(crate) fn summarise(
    agenda: &Agenda,
    policy: &Bound,
    recorder: Recorder<'_>,
) -> Result<Summary, Error> {
    let end = agenda.now();
    let snapshot = policy.policy().map(|policy| policy.snapshot(end));
    let targets = snapshot.iter().flat_map(|snapshot| &snapshot.breakers);
    let targets = targets.map(|breaker| &*breaker.target);
    recorder.finish(end, breaker_per(policy), targets).map_err(Error::Log)
}

fn breaker_per(policy: &Bound) -> Option<Per> {
    let settings = policy.policy()?.settings();
    settings.breaker.as_ref().map(|breaker| breaker.per)
}
