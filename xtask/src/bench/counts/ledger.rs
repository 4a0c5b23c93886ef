//! `bench/counts.toml`: what was counted, and why it is what it is.

use std::env::consts::ARCH;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::process::{output, root};

/// The counts that are allowed for.
pub(super) struct Ledger {
    /// Who compiled what was counted: another compiler writes other instructions.
    compiler: String,
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq)]
struct Entry {
    name: String,
    instructions: u64,
    reason: String,
}

/// How much more than before a path may take, in percent.
const SLACK: u64 = 5;

impl Ledger {
    pub(super) fn read() -> Result<Self, String> {
        let text = fs::read_to_string(file()).unwrap_or_default();
        Self::parse(&text).ok_or_else(|| format!("{} is malformed", file().display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut ledger = Self { compiler: String::new(), entries: Vec::new() };
        for line in text.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
            match line.strip_prefix("compiler = ") {
                Some(compiler) => ledger.compiler = compiler.trim_matches('"').to_owned(),
                None => ledger.entries.push(Entry::parse(line)?),
            }
        }
        Some(ledger)
    }

    /// Why what is counted here cannot be compared with what is in the file.
    pub(super) fn stranger(&self) -> Option<String> {
        let here = compiler();
        let strange = here != self.compiler;
        strange.then(|| format!("they are those of {}, and this is {here}", self.compiler))
    }

    /// What there is to say of a count, if it is allowed.
    ///
    /// # Errors
    ///
    /// By how much it is too high.
    pub(super) fn judge(&self, name: &str, counted: u64) -> Result<String, String> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else {
            return Err(format!("{name}: {counted} instructions, and none are allowed for"));
        };
        let allowed = entry.instructions;
        let percent = (counted as f64 / allowed as f64 - 1.0) * 100.0;
        let remark = format!(", {percent:+.1} % to {allowed}");
        match counted * 100 > allowed * (100 + SLACK) {
            true => Err(format!("{name}: {counted} instructions{remark}")),
            false => Ok(remark),
        }
    }

    /// Allows for `instructions` from now on.
    pub(super) fn set(&mut self, name: &str, instructions: u64, reason: &str) {
        let entry = Entry { name: name.to_owned(), instructions, reason: reason.to_owned() };
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            // What has hardly moved keeps its reason.
            Some(old) if old.instructions.abs_diff(instructions) * 100 <= old.instructions => {}
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
    }

    pub(super) fn write(mut self) -> Result<(), String> {
        self.compiler = compiler();
        let file = file();
        fs::write(&file, self.text()).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("==> written to {}", file.display());
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}compiler = \"{}\"\n\n", self.compiler);
        for Entry { name, instructions, reason } in &self.entries {
            let _ = writeln!(
                text,
                "\"{name}\" = {{ instructions = {instructions}, because = \"{reason}\" }}"
            );
        }
        text
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.strip_prefix('"')?.split_once("\" = { instructions = ")?;
        let (instructions, rest) = rest.split_once(", because = \"")?;
        let reason = rest.strip_suffix("\" }")?;
        let instructions = instructions.parse().ok()?;
        Some(Self { name: name.to_owned(), instructions, reason: reason.to_owned() })
    }
}

fn file() -> PathBuf {
    root().join("bench/counts.toml")
}

/// The compiler and what it compiles for.
fn compiler() -> String {
    let version = output("rustc", &["--version"]).unwrap_or_else(|| "an unknown rustc".to_owned());
    format!("{version}, {ARCH}")
}

const HEAD: &str = "\
# Instructions of one call, as `cargo xtask bench counts` counts them. `cargo xtask test` fails where one takes
# 5 % more. `cargo xtask bench counts \"REASON\"` writes this file anew; the reason is that of the change.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger { compiler: "rustc 1, x".to_owned(), entries: Vec::new() };
        ledger.set("a call", 1_000, "first counted");
        ledger
    }

    #[test]
    fn what_is_written_is_read() {
        let read = Ledger::parse(&ledger().text()).unwrap();
        assert_eq!((read.compiler, read.entries), (ledger().compiler, ledger().entries));
        assert!(Ledger::parse("\"a call\" = 1000\n").is_none());
    }

    #[test]
    fn a_path_may_take_a_little_more_and_a_new_one_needs_a_reason() {
        assert_eq!(ledger().judge("a call", 1_050), Ok(", +5.0 % to 1000".to_owned()));
        assert!(ledger().judge("a call", 1_051).is_err());
        assert!(ledger().judge("another", 1).is_err());
    }

    #[test]
    fn what_hardly_moved_keeps_its_reason() {
        let mut ledger = ledger();
        ledger.set("a call", 1_010, "noise");
        assert_eq!(ledger.entries[0].reason, "first counted");
        ledger.set("a call", 1_100, "more is done");
        assert_eq!((ledger.entries.len(), &*ledger.entries[0].reason), (1, "more is done"));
    }
}
