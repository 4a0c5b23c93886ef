//! The built program as a child process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

pub use rustix::process::Signal;

use crate::client::{Client, get};
use crate::clock::{PATIENCE, now, pause};
use crate::http::Response;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Locum {
    child: Child,
    directory: TempDir,
    ready: BTreeMap<String, String>,
}

/// How to start one.
#[derive(Debug)]
pub struct Launch {
    binary: PathBuf,
    command: &'static str,
    config: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    descriptors: Option<u32>,
}

impl Launch {
    /// Another command than `run` that serves until it is stopped.
    pub fn command(self, command: &'static str) -> Self {
        Self { command, ..self }
    }

    /// With this configuration; without one, the embedded default.
    pub fn config(self, config: impl Into<String>) -> Self {
        Self { config: Some(config.into()), ..self }
    }

    /// With these arguments after the command.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&a| a.to_owned()));
        self
    }

    /// With this environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With so few file descriptors.
    pub fn descriptors(self, limit: u32) -> Self {
        Self { descriptors: Some(limit), ..self }
    }

    /// Starts the program and waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// When it ends before, or does not become ready; the message holds its log.
    pub fn start(self) -> Locum {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ready_file = directory.path().join("ready.json");
        let mut command = match self.descriptors {
            // The shell replaces itself, so the process is the program's own.
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\""));
                shell.arg(&self.binary);
                shell
            }
            None => Command::new(&self.binary),
        };
        command.arg(self.command).arg("--ready-file").arg(&ready_file);
        if let Some(config) = &self.config {
            let file = directory.path().join(CONFIG);
            fs::write(&file, config).expect("a writable temporary directory");
            command.arg("-c").arg(file);
        }
        let log = |name| File::create(directory.path().join(name)).expect("a log file");
        let child = command
            .args(&self.arguments)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(log(OUTPUT))
            .stderr(log(LOG))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let mut locum = Locum { child, directory, ready: BTreeMap::new() };
        locum.wait_until_ready(&ready_file);
        locum
    }
}

impl Locum {
    /// The program at this path, to be configured and started.
    pub fn at(binary: impl Into<PathBuf>) -> Launch {
        Launch {
            binary: binary.into(),
            command: "run",
            config: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            descriptors: None,
        }
    }

    fn wait_until_ready(&mut self, ready_file: &Path) {
        let begin = now();
        loop {
            if let Ok(text) = fs::read_to_string(ready_file) {
                self.ready = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("ready file {text:?}: {error}"));
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("ended with {status} before it was ready:\n{}", self.log());
            }
            assert!(begin.elapsed() < PATIENCE, "not ready after {PATIENCE:?}:\n{}", self.log());
            pause();
        }
    }

    /// Where a listener listens.
    ///
    /// # Panics
    ///
    /// When the ready file does not name it.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let text = self.ready.get(listener).unwrap_or_else(|| {
            panic!("no `{listener}` in the ready file: {:?}", self.ready);
        });
        text.parse().unwrap_or_else(|error| panic!("{listener} = {text:?}: {error}"))
    }

    /// A new client connection to the listener `web`.
    pub fn client(&self) -> Client {
        Client::connect(self.address("web"))
    }

    /// One GET to the listener `web`, on a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        get(self.address("web"), target)
    }

    /// One GET to the admin API.
    pub fn admin(&self, target: &str) -> Response {
        let address = self.address("admin");
        let mut client = Client::connect(address);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        client.response("GET").unwrap_or_else(|broken| panic!("GET {target}: {broken}"))
    }

    /// What `/metrics` says, as text.
    pub fn metrics(&self) -> String {
        self.admin("/metrics").text()
    }

    /// The sum of the samples of one metric that carry all of these labels; 0 if there is none.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        let text = self.metrics();
        let samples = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, carried) = series.split_once('{').unwrap_or((series, ""));
            (found == name && labels.iter().all(|label| carried.contains(label.as_str())))
                .then(|| value.parse::<f64>().expect("a sample is a number"))
        });
        samples.fold(0.0, |sum, sample| sum + sample)
    }

    /// Waits until a metric has this value: a call is counted once it is over, which is just after
    /// its client has the answer.
    pub fn counts(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name} {labels:?} is {value}");
        crate::eventually(&what, || (self.metric(name, labels) - value).abs() < f64::EPSILON);
    }

    /// Replaces the configuration file, whole.
    pub fn write_config(&self, config: &str) {
        let beside = self.directory.path().join("next.toml");
        fs::write(&beside, config).expect("a writable temporary directory");
        fs::rename(beside, self.directory.path().join(CONFIG)).expect("a rename in one directory");
    }

    /// Replaces the configuration, sends SIGHUP and waits until the reload was counted, whether
    /// it succeeded or not.
    pub fn reload(&self, config: &str) {
        let before = self.reloads();
        self.write_config(config);
        self.signal(Signal::HUP);
        crate::eventually("the reload is counted", || self.reloads() > before);
    }

    /// How many reloads were counted, of either result.
    pub fn reloads(&self) -> f64 {
        self.metric("locum_config_reloads_total", &[])
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there until it is waited for");
    }

    /// Waits for the end of the process and gives its status.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        let begin = now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "still running after {PATIENCE:?}:\n{}",
                self.log()
            );
            pause();
        }
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        self.read(LOG)
    }

    /// What it wrote to standard output.
    pub fn output(&self) -> String {
        self.read(OUTPUT)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = self.proc("status").expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib * 1024
    }

    /// Time on a processor so far, all threads together.
    pub fn processor_time(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.child.id());
        let spent = fs::read_dir(tasks).expect("the process runs").filter_map(|task| {
            let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(spent.sum())
    }

    fn proc(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id()))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Locum {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- log of the program\n{}---", self.log());
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub output: String,
    /// What it wrote to standard error.
    pub errors: String,
}

/// Runs the program to its end.
///
/// # Panics
///
/// When it cannot be started.
pub fn run_to_end(binary: impl AsRef<Path>, arguments: &[&str]) -> Finished {
    let ended = Command::new(binary.as_ref())
        .args(arguments)
        .stdin(Stdio::null())
        .env("NO_COLOR", "1")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", binary.as_ref().display()));
    Finished {
        code: ended.status.code(),
        output: String::from_utf8_lossy(&ended.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

const CONFIG: &str = "locum.toml";
const LOG: &str = "stderr.log";
const OUTPUT: &str = "stdout.log";
