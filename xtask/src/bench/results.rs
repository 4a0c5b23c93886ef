//! What a benchmark leaves in `bench/results/`: tables for who reads, and every run for the report.

use std::fmt::Write as _;
use std::fs;

use super::options::Options;
use crate::process::{output, root};

/// One benchmark's results.
pub(super) struct Results {
    /// Of the files: `DATE-NAME.md` and `DATE-NAME.json`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What was measured, each with its version.
    pub(super) versions: Vec<String>,
    /// Everything below the heading.
    pub(super) tables: String,
    /// Everything that was measured, in the order of time.
    pub(super) rows: Vec<Row>,
}

impl Results {
    /// Prints the tables, and writes the files if the benchmark ran as a whole and nothing speaks against it.
    pub(super) fn tell(&self, options: &Options, worth: Result<(), String>) -> Result<(), String> {
        let tables = self.tables();
        println!("\n{tables}");
        if !options.is_whole() {
            println!("==> a part of the benchmark: nothing is written");
            return Ok(());
        }
        worth?;
        let day = output("date", &["+%F"]).ok_or("no date")?;
        for (kind, text) in [("md", tables), ("json", self.json(&day))] {
            let file = root().join(format!("bench/results/{day}-{}.{kind}", self.name));
            fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            println!("==> written to {}", file.display());
        }
        Ok(())
    }

    fn tables(&self) -> String {
        format!(
            "# {}\n\nCommand: `{}`, at {}. Machine: {}.\nVersions: {}.\n\n{}",
            self.title,
            self.command(),
            revision(),
            machine(),
            self.versions.join(", "),
            self.tables,
        )
    }

    fn json(&self, day: &str) -> String {
        let about = Row::default()
            .text("name", self.name)
            .text("title", self.title)
            .text("command", &self.command())
            .text("date", day)
            .text("revision", &revision())
            .text("machine", &machine())
            .text("versions", &self.versions.join(", "));
        let rows: Vec<_> = self.rows.iter().map(|row| format!("  {{{}}}", row.0)).collect();
        format!("{{{},\"rows\":[\n{}\n]}}\n", about.0, rows.join(",\n"))
    }

    fn command(&self) -> String {
        format!("cargo xtask bench {}", self.name)
    }
}

/// The members of an object of JSON.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Row(String);

impl Row {
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        let mut escaped = String::with_capacity(value.len());
        for character in value.chars() {
            match character {
                '"' | '\\' => escaped.extend(['\\', character]),
                control if control < ' ' => {
                    let _ = write!(escaped, "\\u{:04x}", u32::from(control));
                }
                other => escaped.push(other),
            }
        }
        self.member(name, &format!("\"{escaped}\""))
    }

    /// What is not a number, as a ratio to nothing is not, becomes `null`.
    pub(super) fn number(self, name: &str, value: f64) -> Self {
        let value = if value.is_finite() { value.to_string() } else { "null".to_owned() };
        self.member(name, &value)
    }

    fn member(mut self, name: &str, value: &str) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
        self
    }
}

/// The middle one, or halfway between the middle two.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (odd, middle) if odd % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The commit that was measured.
pub(super) fn revision() -> String {
    let root = root().display().to_string();
    let known = output("git", &["-C", &root, "rev-parse", "--short", "HEAD"]);
    known.unwrap_or_else(|| "an unknown revision".to_owned())
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let kernel = output("uname", &["-sr"]).unwrap_or_default();
    format!("{cores} cores of {model}, {kernel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }

    #[test]
    fn a_row_is_json() {
        let row =
            Row::default().text("name", "a \"b\"\n").number("us", 1.5).number("p99", f64::NAN);
        assert_eq!(row.0, r#""name":"a \"b\"\u000a","us":1.5,"p99":null"#);
    }
}
