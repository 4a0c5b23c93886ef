//! A scenario of the simulator: read and judged like a configuration.

use std::fs;
use std::path::Path;
use std::time::Duration;

use locum_policy::text;
use locum_sim::Scenario;
use locum_sim::scenario::Span;

use super::problem::{Problem, Sources};
use super::{Failure, decode, read, tree};

/// Reads the scenario at `path`, with the files of service times that it names.
pub(crate) fn load(path: &Path) -> Result<Scenario, Failure> {
    let (mut sources, mut problems) = (Sources::default(), Vec::new());
    let mut tree = read::read(path, &mut sources, &mut problems);
    if !problems.is_empty() {
        return Err(Failure { problems, sources });
    }
    let Some(mut scenario) = decode::decode::<Scenario>(&mut tree, &mut problems) else {
        problems.sort_by_key(|problem| (problem.place.source, problem.place.start));
        return Err(Failure { problems, sources });
    };
    let mut wrong = |key: &str, reason: String, remedy: String| {
        let located = tree.locate(key);
        let key = tree::written(&located.steps);
        problems.push(Problem::error(located.value, key, reason, remedy));
    };
    for (index, servers) in scenario.servers.iter_mut().enumerate() {
        let key = format!("servers.{index}.service.file");
        let Some(file) = servers.service.file.clone() else { continue };
        if servers.service.values.is_some() {
            wrong(&key, "there are `values` as well".to_owned(), "keep one of them".to_owned());
            continue;
        }
        match service_times(&path.with_file_name(&file)) {
            Ok(values) => servers.service.values = Some(values),
            Err(reason) => {
                let remedy = "name a file with a time a line, such as 12.5 (milliseconds) or 3s";
                wrong(&key, reason, remedy.to_owned());
                // What is wrong is told: whether there are times is not asked again.
                servers.service.values = Some(vec![Span(Duration::ZERO)]);
            }
        }
    }
    for error in scenario.check() {
        wrong(&error.path, error.reason, error.remedy);
    }
    if problems.is_empty() {
        return Ok(scenario);
    }
    problems.sort_by_key(|problem| (problem.place.source, problem.place.start));
    Err(Failure { problems, sources })
}

/// Times that were measured, one a line: durations, or numbers of milliseconds.
fn service_times(path: &Path) -> Result<Vec<Span>, String> {
    let content = fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let times = lines.map(|(index, line)| {
        let line = line.trim();
        let time = match line.ends_with(|last: char| last.is_ascii_digit()) {
            true => text::parse_duration(&format!("{line}ms")),
            false => text::parse_duration(line),
        };
        time.map(Span).map_err(|error| format!("{}:{}: {error}", path.display(), index + 1))
    });
    times.collect()
}
