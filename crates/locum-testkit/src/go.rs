//! A real Go as a peer: the program in `go/`, built by whatever Go is there.
//!
//! `LOCUM_GO` lists the Gos, separated as in `PATH`; without it, the one on the `PATH` is taken. Where
//! there is none, [`Go::all`] says loudly what was not tested.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

mod load;

pub use load::{Calls, Tally};

/// One Go and the program that it built.
#[derive(Debug, Clone)]
pub struct Go {
    /// As it calls itself: `go1.19.8`.
    pub version: String,
    program: PathBuf,
}

/// What a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// net/rpc over gob.
    Gob,
    /// The same after a `CONNECT`.
    Http,
    /// net/rpc/jsonrpc.
    Json,
    /// Over gob, by a server whose calls can be cancelled, which those of net/rpc cannot.
    Cancel,
}

impl Go {
    /// Every Go that is there, the program built.
    ///
    /// # Panics
    ///
    /// When the program does not build.
    pub fn all() -> Vec<Self> {
        installed().iter().map(|go| Self::build(go)).collect()
    }

    fn build(go: &Path) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let (version, program) = build(go, &source);
        Self { version, program }
    }

    /// The program that this Go file is, built by every Go that is there.
    ///
    /// # Panics
    ///
    /// When it does not build.
    pub fn programs(file: &Path) -> Vec<PathBuf> {
        installed().iter().map(|go| build(go, file).1).collect()
    }

    /// A server at this address; with port 0, at a free one.
    pub fn server(&self, mode: Mode, address: SocketAddr) -> GoServer {
        let mut child = Command::new(&self.program)
            .args(["server", mode.name(), &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().parse();
        let address = address.unwrap_or_else(|_| panic!("not an address: {line:?}"));
        GoServer { address, child, _output: output }
    }

    /// The names of the checks that a client can make over this.
    pub fn checks(&self, mode: Mode) -> Vec<String> {
        let listed = run(Command::new(&self.program).args(["checks", mode.name()]));
        listed.lines().map(str::to_owned).collect()
    }

    /// Has a client make these checks of a server, and gives back what is said of those that failed,
    /// with the bytes that went over the connection.
    ///
    /// # Panics
    ///
    /// When the client does not make them all.
    pub fn client(&self, mode: Mode, server: SocketAddr, checks: &[String]) -> Vec<String> {
        let mut client = Command::new(&self.program);
        client.args(["client", mode.name(), &server.to_string()]).args(checks);
        let said = run(&mut client);
        let mut failed: Vec<String> = Vec::new();
        let mut passed = 0;
        for line in said.lines() {
            match line.split_once(' ') {
                Some(("PASS", _)) => passed += 1,
                Some(("FAIL", _)) => failed.push(line.to_owned()),
                _ => {
                    if let Some(last) = failed.last_mut() {
                        last.push('\n');
                        last.push_str(line);
                    }
                }
            }
        }
        assert_eq!(passed + failed.len(), checks.len(), "{said}");
        failed
    }

    /// What this Go writes of the corpus of gob streams: one JSON object a line.
    pub fn corpus(&self) -> String {
        run(Command::new(&self.program).arg("corpus"))
    }
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Gob => "gob",
            Self::Http => "http",
            Self::Json => "jsonrpc",
            Self::Cancel => "cancel",
        }
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct GoServer {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    // Open as long as the server runs, so that it may write.
    _output: BufReader<ChildStdout>,
}

impl GoServer {
    /// Sends it a signal: stopped, it takes calls and answers none until it continues.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is there until it is waited for");
    }
}

impl Drop for GoServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Every Go that is there.
fn installed() -> Vec<PathBuf> {
    let gos: Vec<PathBuf> = match env::var_os("LOCUM_GO") {
        Some(listed) => env::split_paths(&listed).collect(),
        None => {
            let path = env::var_os("PATH").unwrap_or_default();
            let here = env::split_paths(&path).map(|directory| directory.join("go"));
            here.filter(|go| go.is_file()).take(1).collect()
        }
    };
    if gos.is_empty() {
        // Not `eprintln!`, which the test runner keeps to itself.
        drop(writeln!(io::stderr(), "SKIPPED real Go: none on the PATH or in LOCUM_GO"));
    }
    gos
}

/// Builds the module in a directory, or a file, and gives back the Go's version and the program.
fn build(go: &Path, source: &Path) -> (String, PathBuf) {
    let version = run(Command::new(go).args(["env", "GOVERSION"])).trim().to_owned();
    let (home, what) = match source.is_dir() {
        true => (source, "."),
        false => (source.parent().expect("a file is somewhere"), file_name(source)),
    };
    let name =
        format!("{}-{version}-{:016x}", source.file_stem().map_or("go", str_of), contents(home));
    let directory = directory();
    let program = directory.join(name);
    fs::create_dir_all(&directory).expect("the target directory can be written to");
    // Several tests may want it at once, in as many processes.
    let lock = File::create(directory.join("lock")).expect("a lock beside the program");
    lock.lock().expect("a lock that is ours");
    if !program.is_file() {
        let beside = directory.join("unfinished");
        let mut build = Command::new(go);
        build.args(["build", "-o"]).arg(&beside).arg(what).current_dir(home);
        // Nothing is fetched, and nothing is left outside of the target directory.
        build.env("GOCACHE", directory.join("cache")).env("GOPATH", directory.join("path"));
        run(build.env("GOFLAGS", "").env("GOPROXY", "off").env("GOTOOLCHAIN", "local"));
        fs::rename(&beside, &program).expect("a rename in one directory");
    }
    (version, program)
}

fn file_name(path: &Path) -> &str {
    path.file_name().map_or(".", str_of)
}

fn str_of(name: &OsStr) -> &str {
    name.to_str().expect("the names of our files are text")
}

/// Runs a command to its end and gives back what it wrote.
fn run(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {}\n{said}{errors}", ended.status);
    said
}

/// Where the programs are kept: with what cargo built.
fn directory() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("tests are in deps/ of their profile");
    profile.join("go")
}

/// A number that is another if a file of the directory is.
fn contents(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("the program's source is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it is readable").path()).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(&file).expect("it is readable").hash(&mut hasher);
    }
    hasher.finish()
}
