//! Running other programs, step by step, in the open.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// One thing that is done, announced before and timed after.
pub(crate) struct Step {
    what: String,
    begin: Instant,
}

impl Step {
    /// Announces it.
    #[expect(clippy::disallowed_methods, reason = "a person wants to know how long a step took")]
    pub(crate) fn new(what: &str) -> Self {
        println!("==> {what}");
        Self { what: what.to_owned(), begin: Instant::now() }
    }

    /// Runs the command; its output is the step's.
    pub(crate) fn run(self, command: &mut Command) -> Result<(), String> {
        let status = command.status().map_err(|error| self.failed(command, &error.to_string()))?;
        if !status.success() {
            return Err(self.failed(command, &status.to_string()));
        }
        self.done();
        Ok(())
    }

    /// Runs the command, shows both of its outputs as they come, and gives back the lines that
    /// `keep` wants.
    pub(crate) fn run_and_keep(
        self,
        command: &mut Command,
        keep: impl Fn(&str) -> bool,
    ) -> (Vec<String>, Result<(), String>) {
        let (lines, mut child) = match spawn_joined(command) {
            Ok(spawned) => spawned,
            Err(error) => return (Vec::new(), Err(self.failed(command, &error.to_string()))),
        };
        let mut kept = Vec::new();
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            println!("{line}");
            if keep(&line) {
                kept.push(line);
            }
        }
        // A closed output need not be the end of the process.
        let ended = match child.wait() {
            Ok(status) if status.success() => {
                self.done();
                Ok(())
            }
            Ok(status) => Err(self.failed(command, &status.to_string())),
            Err(error) => Err(self.failed(command, &error.to_string())),
        };
        (kept, ended)
    }

    /// Says that it is done, and after how long.
    pub(crate) fn done(&self) {
        println!("    done in {:.1} s", self.begin.elapsed().as_secs_f64());
        drop(io::stdout().flush());
    }

    fn failed(&self, command: &Command, why: &str) -> String {
        format!("{}: `{}`: {why}", self.what, shown(command))
    }
}

/// Starts the command with one pipe for both of its outputs, so that their order is kept.
fn spawn_joined(command: &mut Command) -> io::Result<(io::PipeReader, Child)> {
    let (lines, output) = io::pipe()?;
    let child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
    // The command holds the writing ends; as long as one is open, the reader waits.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((lines, child))
}

/// Says, so that nobody can miss it, what was not done.
pub(crate) fn skipped(what: &str, why: &str) {
    println!("==> SKIPPED: {what}: {why}");
}

/// Cargo, in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    command
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| "xtask".into(), PathBuf::from);
    here.parent().map_or_else(|| ".".into(), PathBuf::from)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// What a command wrote to standard output, if it succeeded.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let ended = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    ended.status.success().then(|| String::from_utf8_lossy(&ended.stdout).trim().to_owned())
}

/// Whether a program is installed.
pub(crate) fn installed(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers live in sbin, which is not on everybody's path.
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
