//! What is wrong with a configuration, shown so that it can be mended.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use super::attached::Attachments;

/// Bytes of one of the files that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which file, in the order of reading.
    pub(crate) source: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Something wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) place: Place,
    /// The key, as a path: `routes[1].upstream`.
    pub(crate) key: String,
    /// What is wrong with it.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

impl Problem {
    pub(crate) fn error(
        place: Place,
        key: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (key, reason, remedy) = (key.into(), reason.into(), remedy.into());
        Self { severity: Severity::Error, place, key, reason, remedy }
    }
}

/// The files that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) files: Vec<Source>,
    /// Where files were looked for by a pattern: others may appear there.
    pub(crate) folders: Vec<PathBuf>,
    /// The files that these name.
    pub(crate) attached: Attachments,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Sources {
    /// `FILE:LINE:COL: error: key: reason; remedy`: one line, for scripts.
    pub(crate) fn line(&self, problem: &Problem) -> String {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Problem { key, reason, remedy, .. } = problem;
        let said = format!("{severity}: {key}: {reason}; {remedy}");
        if self.files.is_empty() {
            return said;
        }
        let (path, line, column) = self.position(problem.place);
        format!("{path}:{line}:{column}: {said}")
    }

    /// All of `problems`, in the order of their places, a line each; on a terminal with the text
    /// they are about.
    pub(crate) fn show(&self, problems: &[Problem]) -> io::Result<()> {
        let mut err = io::stderr().lock();
        let person = err.is_terminal();
        let colours = person && std::env::var_os("NO_COLOR").is_none();
        for problem in problems {
            match (colours, problem.severity) {
                (true, Severity::Error) => {
                    writeln!(err, "\x1b[1;31m{}\x1b[0m", self.line(problem))?
                }
                (true, Severity::Warning) => {
                    writeln!(err, "\x1b[1;33m{}\x1b[0m", self.line(problem))?
                }
                (false, _) => writeln!(err, "{}", self.line(problem))?,
            }
            if person {
                writeln!(err, "{}", self.snippet(problem.place))?;
            }
        }
        Ok(())
    }

    /// Path, line and column; both count from 1, columns in characters.
    pub(crate) fn position(&self, place: Place) -> (String, usize, usize) {
        let Some(source) = self.files.get(place.source) else { return (String::from("-"), 1, 1) };
        let before = source.text.get(..place.start).unwrap_or(&source.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (source.path.display().to_string(), line, column)
    }

    /// The line of `place`, underlined.
    fn snippet(&self, place: Place) -> String {
        let (_, line, column) = self.position(place);
        let text =
            self.files.get(place.source).and_then(|source| source.text.lines().nth(line - 1));
        let Some(text) = text else { return String::new() };
        let room = text.chars().count() + 1 - (column - 1).min(text.chars().count());
        let width = place.end.saturating_sub(place.start).clamp(1, room);
        let margin = line.to_string().len();
        let mut snippet = String::new();
        let _ = writeln!(snippet, "{:margin$} |", "");
        let _ = writeln!(snippet, "{line} | {text}");
        let _ = writeln!(
            snippet,
            "{:margin$} | {:indent$}{}",
            "",
            "",
            "^".repeat(width),
            indent = column - 1
        );
        snippet
    }
}
