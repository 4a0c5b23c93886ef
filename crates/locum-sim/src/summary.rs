//! What a run came to.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What a run came to. Times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Calls that arrived.
    pub calls: u64,
    /// Attempts that were sent.
    pub attempts: u64,
    /// Attempts for each call.
    pub amplification: f64,
    /// How the calls ended.
    pub outcomes: Outcomes,
    /// How long the calls took of which an attempt was sent and that ended.
    pub latency: Latency,
    /// How long the breakers were in each state, all of them together; absent without a breaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<States>,
    /// The same for each breaker, where there is not one for all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub breakers: BTreeMap<String, States>,
    /// What the answer rests on; of a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// The servers' view; of a scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers: Option<Servers>,
    /// The last thing that happened, from the start.
    pub duration: f64,
}

/// Calls by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// With an answer.
    pub success: u64,
    /// With the failure of their last attempt.
    pub failure: u64,
    /// Refused before any attempt.
    pub rejected: u64,
    /// Their time was over.
    pub deadline: u64,
    /// Their callers went away.
    pub cancelled: u64,
    /// Nothing ended them.
    pub unfinished: u64,
}

/// Percentiles (nearest rank) are exact for up to 65,536 calls and err by less than 1 % beyond; the mean
/// and the maximum are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// Half of the calls took no longer.
    pub p50: f64,
    /// 90 % took no longer.
    pub p90: f64,
    /// 99 % took no longer.
    pub p99: f64,
    /// 99.9 % took no longer.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// Time in each state of a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct States {
    /// Calls pass and are counted.
    pub closed: f64,
    /// Calls are refused.
    pub open: f64,
    /// A few calls pass, as probes.
    pub half_open: f64,
    /// A growing share passes.
    pub ramp: f64,
}

/// Of the attempts that were sent, the share whose result is known in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    /// The trace has this attempt of this call.
    pub recorded: f64,
    /// The trace has fewer attempts of this call, and its last is taken to repeat; or it says nothing
    /// of attempts, and one that succeeds at once is assumed.
    pub modelled: f64,
    /// The trace has a call without any attempt (it was refused then), or an attempt that never
    /// ended: what would have come of it nobody knows.
    pub unknown: f64,
}

/// What the servers did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Servers {
    /// Attempts served to the end.
    pub served: u64,
    /// From an attempt's arrival at its server to the end of its service.
    pub mean_time_in_system: f64,
    /// Attempts served to the end after their caller had gone.
    pub wasted: u64,
    /// Their share of all that were served.
    pub wasted_share: f64,
    /// Attempts discarded unserved (`drop_expired`).
    pub dropped: u64,
    /// The share of their capacity that was in use, from the start to the last thing that happened.
    pub utilisation: f64,
}

/// A table for a person.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, attempts, amplification, outcomes, latency, .. } = self;
        writeln!(f, "{:<15} {calls}", "calls")?;
        let Outcomes { success, failure, rejected, deadline, cancelled, unfinished } = *outcomes;
        for (name, count) in [
            ("success", success),
            ("failure", failure),
            ("rejected", rejected),
            ("deadline", deadline),
            ("cancelled", cancelled),
            ("unfinished", unfinished),
        ] {
            if count > 0 {
                let share = 100.0 * count as f64 / *calls as f64;
                writeln!(f, "  {name:<13} {count} ({share:.1} %)")?;
            }
        }
        writeln!(f, "{:<15} {attempts} ({amplification:.3} a call)", "attempts")?;
        let Latency { mean, p50, p90, p99, p999, max } = *latency;
        writeln!(f, "latency")?;
        let latencies = [
            ("mean", mean),
            ("p50", p50),
            ("p90", p90),
            ("p99", p99),
            ("p99.9", p999),
            ("max", max),
        ];
        for (name, millis) in latencies {
            writeln!(f, "  {name:<13} {} ms", short(millis))?;
        }
        if let Some(states) = &self.breaker {
            writeln!(f, "breaker")?;
            states.rows(f)?;
        }
        for (target, states) in &self.breakers {
            writeln!(f, "breaker {target}")?;
            states.rows(f)?;
        }
        if let Some(Shares { recorded, modelled, unknown }) = self.shares {
            writeln!(f, "the answer is")?;
            let shares = [("recorded", recorded), ("modelled", modelled), ("unknown", unknown)];
            for (name, share) in shares {
                writeln!(f, "  {name:<13} {:.1} %", 100.0 * share)?;
            }
        }
        if let Some(servers) = &self.servers {
            writeln!(f, "servers")?;
            writeln!(f, "  {:<13} {}", "served", servers.served)?;
            writeln!(f, "  {:<13} {} ms", "mean time", short(servers.mean_time_in_system))?;
            let share = 100.0 * servers.wasted_share;
            writeln!(f, "  {:<13} {} ({share:.1} %)", "wasted", servers.wasted)?;
            writeln!(f, "  {:<13} {}", "dropped", servers.dropped)?;
            writeln!(f, "  {:<13} {:.1} %", "in use", 100.0 * servers.utilisation)?;
        }
        Ok(())
    }
}

impl States {
    fn rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, open, half_open, ramp } = *self;
        for (name, millis) in
            [("closed", closed), ("open", open), ("half_open", half_open), ("ramp", ramp)]
        {
            if millis > 0.0 {
                writeln!(f, "  {name:<13} {} ms", short(millis))?;
            }
        }
        Ok(())
    }
}

/// Three digits behind the point at most.
fn short(millis: f64) -> String {
    let text = format!("{millis:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
