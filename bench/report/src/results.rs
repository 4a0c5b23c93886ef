//! What a benchmark left in `bench/results/`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Result;

/// One benchmark's results.
#[derive(Debug, Deserialize)]
pub(crate) struct Results {
    name: String,
    title: String,
    command: String,
    date: String,
    revision: String,
    machine: String,
    versions: String,
    pub(crate) rows: Vec<Row>,
}

/// One run, or one estimate.
#[derive(Debug, Deserialize)]
pub(crate) struct Row(Map<String, Value>);

impl Results {
    /// The newest of that name, if there are any.
    pub(crate) fn newest(directory: &Path, name: &str) -> Result<Option<Self>> {
        let mut files: Vec<_> = fs::read_dir(directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            // DATE-NAME.json: a date has ten characters.
            .filter(|path| {
                let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
                file.get(10..) == Some(&format!("-{name}.json"))
            })
            .collect();
        files.sort();
        let Some(file) = files.pop() else { return Ok(None) };
        let results = serde_json::from_str(&fs::read_to_string(&file)?);
        Ok(Some(results.map_err(|error| format!("{}: {error}", file.display()))?))
    }

    /// What it is, and how it came about.
    pub(crate) fn heading(&self) -> String {
        let Self { name, title, command, date, revision, machine, versions, .. } = self;
        format!(
            "\n## {title}\n\n`{command}` on {date}, at {revision}: {machine}; {versions}. In full: \
             [{date}-{name}.md](results/{date}-{name}.md).\n"
        )
    }

    /// The different values of a member, in their order.
    pub(crate) fn names(&self, member: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.rows.iter().filter_map(|row| row.text(member)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The different numbers of a member, in their order.
    pub(crate) fn numbers(&self, member: &str) -> Vec<f64> {
        let mut numbers: Vec<_> = self.rows.iter().filter_map(|row| row.number(member)).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        numbers
    }

    /// A value of all rows that have these texts and numbers.
    pub(crate) fn values(
        &self,
        texts: &[(&str, &str)],
        numbers: &[(&str, f64)],
        value: impl Fn(&Row) -> Option<f64>,
    ) -> Spread {
        let fits = |row: &&Row| {
            texts.iter().all(|(name, text)| row.text(name) == Some(text))
                && numbers.iter().all(|(name, number)| row.number(name) == Some(*number))
        };
        Spread::of(self.rows.iter().filter(fits).filter_map(value).collect())
    }
}

impl Row {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// One number to another.
    pub(crate) fn ratio(&self, name: &str, to: &str) -> Option<f64> {
        Some(self.number(name)? / self.number(to)?)
    }
}

/// What several runs showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of nothing all three are NaN.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        let ends = values.first().zip(values.last());
        let (least, most) = ends.map_or((f64::NAN, f64::NAN), |(least, most)| (*least, *most));
        Self { least, median, most }
    }

    /// Whether there was anything.
    pub(crate) fn is_known(&self) -> bool {
        self.median.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(rows: &str) -> Results {
        let about = r#""name":"n","title":"t","command":"c","date":"d","revision":"r","machine":"m","versions":"v""#;
        serde_json::from_str(&format!("{{{about},\"rows\":{rows}}}")).unwrap()
    }

    #[test]
    fn rows_are_found_by_what_they_say() {
        let results = results(
            r#"[{"proxy":"a","n":1,"us":2},{"proxy":"a","n":1,"us":4},{"proxy":"b","n":1,"us":9},{"proxy":"a","n":2,"us":null}]"#,
        );
        assert_eq!(results.names("proxy"), ["a", "b"]);
        assert_eq!(results.numbers("n"), [1.0, 2.0]);
        let of = |n| results.values(&[("proxy", "a")], &[("n", n)], |row| row.number("us"));
        assert_eq!(of(1.0), Spread { least: 2.0, median: 3.0, most: 4.0 });
        assert!(!of(2.0).is_known());
    }
}
