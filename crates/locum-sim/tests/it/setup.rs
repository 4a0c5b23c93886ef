//! Traces in a few words, and what their logs say.

use std::fmt::Write as _;
use std::io::Cursor;

use locum_policy::Settings;
use locum_sim::{Error, Run, Scenario, Summary, replay};

/// A policy as a configuration writes it.
pub fn policy(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

/// A trace that grows.
#[derive(Clone, Debug, Default)]
pub struct Trace(pub String);

impl Trace {
    /// A call at `at`; `rest` are further keys.
    pub fn call(&mut self, at: f64, rest: &str) -> &mut Self {
        let comma = if rest.is_empty() { "" } else { "," };
        writeln!(self.0, "{{\"at\":{at}{comma}{rest}}}").unwrap();
        self
    }

    /// A call at `at` whose one attempt meets this.
    pub fn meets(&mut self, at: f64, took: f64, outcome: &str) -> &mut Self {
        let attempt = format!(r#""attempts":[{{"took":{took},"outcome":"{outcome}"}}]"#);
        self.call(at, &attempt)
    }
}

/// The decision log and the summary of a trace under a policy.
pub fn play(policy: &Settings, trace: &Trace) -> (Vec<String>, Summary) {
    let (log, summary) = try_play(policy, trace, 1).unwrap();
    (log.lines().map(str::to_owned).collect(), summary)
}

/// The same as one text; or what is wrong.
pub fn try_play(policy: &Settings, trace: &Trace, seed: u64) -> Result<(String, Summary), Error> {
    let mut log = Vec::new();
    let mut run = Run { seed, log: Some(&mut log), ..Run::new(Some(("test", policy))) };
    let summary = replay(&mut run, Cursor::new(&trace.0))?;
    Ok((String::from_utf8(log).unwrap(), summary))
}

/// The lines that contain all of `parts`.
pub fn having<'a>(log: &'a [String], parts: &[&str]) -> Vec<&'a str> {
    let all = |line: &&String| parts.iter().all(|part| line.contains(part));
    log.iter().filter(all).map(String::as_str).collect()
}

/// The decision log and the summary of a scenario in TOML; the policy is the one it names.
pub fn stage(toml: &str) -> (Vec<String>, Summary) {
    let (scenario, mut log) = (scenario(toml), Vec::new());
    let summary = play_to(&scenario, Some(&mut log));
    let log = String::from_utf8(log).unwrap();
    (log.lines().map(str::to_owned).collect(), summary)
}

/// The summary alone: nothing is written.
pub fn measure(toml: &str) -> Summary {
    play_to(&scenario(toml), None)
}

pub fn scenario(toml: &str) -> Scenario {
    let scenario: Scenario = toml::from_str(toml).unwrap();
    assert_eq!(scenario.check(), []);
    scenario
}

fn play_to(scenario: &Scenario, log: Option<&mut Vec<u8>>) -> Summary {
    let policy = scenario.policy.as_deref().map(|name| (name, &scenario.policies[name]));
    let log = log.map(|log| log as _);
    let seed = scenario.seed.unwrap_or(1);
    locum_sim::play(&mut Run { log, seed, ..Run::new(policy) }, scenario).unwrap()
}
