//! Proxies beside a reference, which is measured before and after every one of them: machines drift, and a
//! ratio is taken to the mean of the two.

use std::fmt::Write as _;

use super::load::{Bench, Measured};
use super::peer::Peer;
use super::results::{Row, median};
use super::scenario::Scenario;
use crate::process::{Step, skipped};

/// One proxy in one scenario.
pub(super) struct Series {
    peer: &'static str,
    scenario: String,
    /// Each beside the mean of the reference's two runs around it.
    runs: Vec<(Measured, Measured)>,
    /// Why one is missing.
    failure: Option<String>,
}

/// Measures everyone in every scenario, with servers that are started anew for each round, the reference first: which
/// memory a process is given by chance is worth several hundredths of its time for as long as it lives.
pub(super) fn measure(
    bench: &mut Bench,
    start: impl Fn() -> Result<(Peer, Vec<Peer>), String>,
    scenarios: &[&Scenario],
    rounds: usize,
) -> Result<Vec<Series>, String> {
    let mut all: Vec<Series> = Vec::new();
    for round in 1..=rounds {
        let (reference, others) = start()?;
        for scenario in scenarios {
            let step = Step::new(&format!("{}, round {round} of {rounds}", scenario.name));
            match measure_once(bench, &reference, &others, scenario) {
                Ok(series) => series.into_iter().for_each(|one| add(&mut all, one)),
                Err(why) => skipped(&scenario.name, &why),
            }
            step.done();
        }
    }
    // Those of one scenario stand together, in whichever round they first came.
    all.sort_by_key(|one| scenarios.iter().position(|scenario| scenario.name == one.scenario));
    if all.is_empty() { Err("nothing could be measured".to_owned()) } else { Ok(all) }
}

/// Measures everyone who listens where this scenario asks. Who fails is left out; if that is the reference, nothing can
/// be said.
fn measure_once(
    bench: &mut Bench,
    reference: &Peer,
    others: &[Peer],
    scenario: &Scenario,
) -> Result<Vec<Series>, String> {
    let series = |peer: &Peer| Series {
        peer: peer.name,
        scenario: scenario.name.to_string(),
        runs: Vec::new(),
        failure: None,
    };
    let mut all = vec![series(reference)];
    let mut before = bench.run(reference, scenario)?;
    for peer in others.iter().filter(|peer| peer.listens(scenario.port)) {
        let mut one = series(peer);
        // A machine that was stopped for a moment spoils one run, not two.
        match bench.run(peer, scenario).or_else(|_| bench.run(peer, scenario)) {
            Ok(run) => {
                let after = bench.run(reference, scenario)?;
                let around = before.mean(&after);
                one.runs.push((run, around.clone()));
                all[0].runs.push((after.clone(), around));
                before = after;
            }
            Err(why) => {
                println!("    FAILED: {}", why.trim());
                one.failure = Some(why.lines().next().unwrap_or_default().to_owned());
            }
        }
        all.push(one);
    }
    if all.len() == 1 {
        all[0].runs.push((before.clone(), before));
    }
    Ok(all)
}

/// Adds the runs of `one` to those of the same proxy in the same scenario.
fn add(all: &mut Vec<Series>, one: Series) {
    match all.iter_mut().find(|it| (it.peer, &it.scenario) == (one.peer, &one.scenario)) {
        Some(same) => {
            same.runs.extend(one.runs);
            same.failure = one.failure.or_else(|| same.failure.take());
        }
        None => all.push(one),
    }
}

/// What the columns of [`table`] mean.
pub(super) fn legend(reference: &str, rounds: usize, (runs, disturbed): (usize, usize)) -> String {
    format!(
        "{rounds} rounds; {reference} runs between all others, and a ratio is that of a run's\n\
         processor time per request to the mean of the two runs of {reference} around it; normalised, both are\n\
         first divided by what the origin and the load spent on a request at the same time. Medians.\n\
         {disturbed} of {runs} runs were disturbed by others.\n"
    )
}

/// A table for each scenario.
pub(super) fn table(series: &[Series], reference: &str) -> String {
    let mut text = String::new();
    let mut scenario = "";
    for one in series {
        if one.scenario != scenario {
            scenario = &one.scenario;
            let _ = write!(
                text,
                "\n## {scenario}\n\n\
                 | proxy | us/request | to {reference} | range | normalised | requests/s | p50 ms | p99 ms |\n\
                 |---|--:|--:|--:|--:|--:|--:|--:|\n"
            );
        }
        let _ = writeln!(text, "{}", one.line());
    }
    text
}

/// Every run.
pub(super) fn rows(series: &[Series]) -> Vec<Row> {
    let rows = series.iter().flat_map(|one| {
        one.runs.iter().map(|(run, around)| {
            Row::default()
                .text("scenario", &one.scenario)
                .text("proxy", one.peer)
                .number("us", run.processor)
                .number("rest_us", run.rest)
                .number("reference_us", around.processor)
                .number("reference_rest_us", around.rest)
                .number("rate", run.rate)
                .number("p50_ms", run.p50)
                .number("p99_ms", run.p99)
        })
    });
    rows.collect()
}

impl Series {
    fn line(&self) -> String {
        if let (Some(why), true) = (&self.failure, self.runs.is_empty()) {
            return format!("| {} | failed: {why} | | | | | | |", self.peer);
        }
        let of = |value: fn(&Measured) -> f64| median(self.runs.iter().map(|(run, _)| value(run)));
        let ratios: Vec<_> =
            self.runs.iter().map(|(run, around)| run.processor / around.processor).collect();
        let normalised = self
            .runs
            .iter()
            .map(|(run, around)| (run.processor / run.rest) / (around.processor / around.rest));
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        format!(
            "| {} | {:.1} | {:.2} | {least:.2}–{most:.2} | {:.2} | {:.0} | {:.2} | {:.2} |",
            self.peer,
            of(|m| m.processor),
            median(ratios.iter().copied()),
            median(normalised),
            of(|m| m.rate),
            of(|m| m.p50),
            of(|m| m.p99),
        )
    }
}
