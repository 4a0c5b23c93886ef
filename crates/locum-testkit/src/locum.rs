//! The built program as a child process.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use tempfile::TempDir;

pub use rustix::process::Signal;

use crate::client::{Client, get};
use crate::clock::{PATIENCE, now, pause};
use crate::http::Response;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Locum {
    child: Child,
    /// Processes that took its place, one after the other.
    successors: Vec<Pid>,
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
    wrapper: Vec<String>,
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
        self.by(&["sh", "-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")])
    }

    /// Started by this command, which replaces itself by what it is given as further arguments.
    pub fn by(self, command: &[&str]) -> Self {
        Self { wrapper: command.iter().map(|&part| part.to_owned()).collect(), ..self }
    }

    /// Starts the program and waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// When it ends before, or does not become ready; the message holds its log.
    pub fn start(self) -> Locum {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ready_file = directory.path().join("ready.json");
        let mut parts = self.wrapper.iter().map(OsStr::new).chain([self.binary.as_os_str()]);
        let mut command = Command::new(parts.next().expect("the binary is the last of them"));
        command.args(parts);
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
        let mut locum = Locum { child, successors: Vec::new(), directory, ready: BTreeMap::new() };
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
            wrapper: Vec::new(),
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

    /// Changes something over the admin API by a body of JSON. `fields` are more lines of the head, each with its end.
    pub fn change(&self, target: &str, body: &str, fields: &str) -> Response {
        let address = self.address("admin");
        let mut client = Client::connect(address);
        client.send(format!(
            "PUT {target} HTTP/1.1\r\nHost: {address}\r\n{fields}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        client.response("PUT").unwrap_or_else(|broken| panic!("PUT {target}: {broken}"))
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

    /// Has another process take its place, and waits until that one is all there is for who comes now. From
    /// here on what is said of the process is said of the new one.
    ///
    /// # Panics
    ///
    /// When none does.
    pub fn upgrade(&mut self) {
        // So that the new process is ours once the old one has ended.
        set_child_subreaper(Some(getpid())).expect("every process may");
        self.signal(Signal::USR2);
        let mut serving = None;
        crate::eventually("another process serves", || {
            let log = self.log();
            let pids = log.rsplit_once(SERVES).and_then(|(_, rest)| rest.lines().next());
            serving = pids.and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw);
            serving.is_some_and(|pid| self.successors.last() != Some(&pid))
        });
        let pid = serving.expect("it was found");
        self.successors.push(pid);
    }

    /// Waits for the ends of the processes whose place was taken.
    pub fn wait_for_replaced(&mut self) -> Vec<ExitStatus> {
        (0..self.successors.len()).map(|generation| self.wait_for(generation)).collect()
    }

    /// Waits for the end of the process and gives its status.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_for(self.successors.len())
    }

    fn wait_for(&mut self, generation: usize) -> ExitStatus {
        let begin = now();
        loop {
            if let Some(status) = self.ended(generation) {
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

    fn ended(&mut self, generation: usize) -> Option<ExitStatus> {
        let Some(successor) = generation.checked_sub(1).map(|at| self.successors[at]) else {
            return self.child.try_wait().expect("a child can be waited for");
        };
        // It is none of our children as long as the process before it is there.
        let ended = waitpid(Some(successor), WaitOptions::NOHANG).ok().flatten();
        ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()))
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.ended(self.successors.len()).is_none()
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
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        let spent = fs::read_dir(tasks).expect("the process runs").filter_map(|task| {
            let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(spent.sum())
    }

    fn proc(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid().as_raw_nonzero()))
    }

    /// The process's id.
    pub fn pid(&self) -> Pid {
        self.successors.last().copied().unwrap_or_else(|| Pid::from_child(&self.child))
    }
}

impl Drop for Locum {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        for successor in &self.successors {
            let _ = kill_process(*successor, Signal::KILL);
            let _ = waitpid(Some(*successor), WaitOptions::empty());
        }
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
/// What a process says once another serves in its place.
const SERVES: &str = "the new process serves pid=";
