//! `locum simulate`: a policy is tried before it is trusted.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use locum_policy::Settings;
use locum_sim::{Error, Run, Scenario, Summary};

use crate::config::{self, Config};
use crate::{Failure, args};

/// `locum simulate`.
pub(crate) fn run(args: &args::Simulate) -> Result<(), Failure> {
    let bar = bar();
    let mut progress = |share: f64| bar.set_position((share * STEPS as f64) as u64);
    let mut log = args.log.as_deref().map(LogFile::new);
    let began = now();
    let log = log.as_mut().map(|log| log as _);
    let summary = match (&args.trace, &args.scenario, &args.policy) {
        (Some(path), _, Some(name)) => {
            let settings = policy(args.config.as_deref(), name)?;
            let trace = open(path)?;
            let mut run = Run {
                policy: Some((name, &settings)),
                seed: args.seed.unwrap_or(1),
                log,
                progress: Some(&mut progress),
            };
            locum_sim::replay(&mut run, trace).map_err(|error| explain(error, path, args))?
        }
        (_, Some(path), _) => {
            let scenario = config::scenario::load(path)?;
            let settings = policy_of(&scenario, path, args.config.as_deref())?;
            let mut run = Run {
                policy: scenario.policy.as_deref().zip(settings.as_ref()),
                seed: args.seed.or(scenario.seed).unwrap_or(1),
                log,
                progress: Some(&mut progress),
            };
            locum_sim::play(&mut run, &scenario).map_err(|error| explain(error, path, args))?
        }
        _ => return Err(Failure::Usage("give --trace with --policy, or --scenario".to_owned())),
    };
    let took = began.elapsed();
    bar.finish_and_clear();
    let rate = summary.calls as f64 / took.as_secs_f64();
    eprintln!("{} calls in {:.2} s, {rate:.0} a second", summary.calls, took.as_secs_f64());
    tell(&summary, args.json)
}

fn tell(summary: &Summary, json: bool) -> Result<(), Failure> {
    let text = if json {
        serde_json::to_string(summary).map(|json| json + "\n").map_err(io::Error::other)
    } else {
        Ok(summary.to_string())
    };
    let told = text.and_then(|text| io::stdout().lock().write_all(text.as_bytes()));
    told.map_err(|error| Failure::Failed(format!("cannot write the summary: {error}")))
}

/// The policy `name` of the configuration at `path`.
fn policy(path: Option<&Path>, name: &str) -> Result<Settings, Failure> {
    let path = path.ok_or_else(|| Failure::Usage(format!("no --config holds policy `{name}`")))?;
    Config::load(path)?
        .file
        .policies
        .remove(name)
        .ok_or_else(|| Failure::Failed(format!("{}: there is no policy `{name}`", path.display())))
}

/// The policy that `scenario` names: its own, or of the configuration at `config`.
fn policy_of(
    scenario: &Scenario,
    path: &Path,
    config: Option<&Path>,
) -> Result<Option<Settings>, Failure> {
    let Some(name) = &scenario.policy else { return Ok(None) };
    match (scenario.policies.get(name), config) {
        (Some(own), _) => Ok(Some(own.clone())),
        (None, Some(config)) => policy(Some(config), name).map(Some),
        (None, None) => Err(Failure::Failed(format!(
            "{}: there is no policy `{name}`: add `[policies.{name}]`, or give --config",
            path.display()
        ))),
    }
}

/// Opens a trace that can be read twice: one that comes by a pipe is kept in a temporary file.
fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    let piped = |mut from: Box<dyn io::Read>| {
        let mut kept = tempfile::tempfile()?;
        io::copy(&mut from, &mut kept)?;
        kept.rewind()?;
        Ok(kept)
    };
    let file = if path == Path::new("-") {
        piped(Box::new(io::stdin().lock()))
    } else {
        File::open(path).and_then(|file| match file.metadata()?.is_file() {
            true => Ok(file),
            false => piped(Box::new(file)),
        })
    };
    Ok(BufReader::with_capacity(256 << 10, file.map_err(failed)?))
}

fn explain(error: Error, calls: &Path, args: &args::Simulate) -> Failure {
    let calls = calls.display();
    Failure::Failed(match error {
        Error::Trace(error) => format!("{calls}:{error}"),
        Error::Read(error) => format!("{calls}: {error}"),
        Error::Policy(error) => format!("policy: {error}"),
        Error::Log(error) => {
            let log = args.log.as_deref().unwrap_or_else(|| Path::new("the log"));
            format!("{}: {error}", log.display())
        }
    })
}

/// Made when there is something to write: calls that are no good leave an earlier log alone.
struct LogFile {
    path: PathBuf,
    file: Option<File>,
}

impl LogFile {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(File::create(&self.path)?);
        }
        Ok(self.file.as_mut().expect("it was just made"))
    }
}

impl io::Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

/// On a terminal's standard error only.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent} % {eta}");
    ProgressBar::new(STEPS).with_style(style.expect("the template is a good one"))
}

const STEPS: u64 = 1_000;

#[expect(clippy::disallowed_methods, reason = "how long the work took is told in real time")]
fn now() -> Instant {
    Instant::now()
}
