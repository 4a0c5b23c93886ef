//! The text that Prometheus reads: format 0.0.4.

use std::fmt::{Display, Write as _};

use super::{BOUNDS, Calls, OUTCOMES, PROTOCOLS};

/// Metric families, being written.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// What its media type is.
    pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// The calls of all methods: how they ended, and how long they took.
    pub(crate) fn calls<'a>(
        &mut self,
        methods: impl Iterator<Item = (&'a str, &'a Calls)> + Clone,
    ) {
        self.family("locum_calls_total", "counter", "Calls that ended.");
        for (method, calls) in methods.clone() {
            for (protocol, protocol_name) in PROTOCOLS {
                for (outcome, outcome_name) in OUTCOMES {
                    let count = calls.ended(protocol, outcome);
                    if count > 0 {
                        let labels = [
                            ("method", method),
                            ("protocol", protocol_name),
                            ("outcome", outcome_name),
                        ];
                        self.sample("locum_calls_total", &labels, count);
                    }
                }
            }
        }
        self.durations("locum_call_duration_seconds", "How long handlers took.", methods);
    }

    /// How long the calls of all methods took.
    pub(crate) fn durations<'a>(
        &mut self,
        name: &str,
        help: &str,
        methods: impl Iterator<Item = (&'a str, &'a Calls)>,
    ) {
        self.family(name, "histogram", help);
        let (bucket, sum, number) =
            (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (method, calls) in methods {
            let (counts, nanos) = calls.durations();
            let mut total = 0;
            let bounds = BOUNDS.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
            for (bound, count) in bounds.zip(counts) {
                total += count;
                self.sample(&bucket, &[("method", method), ("le", bound)], total);
            }
            let labels = [("method", method)];
            self.sample(&sum, &labels, nanos as f64 / 1e9);
            self.sample(&number, &labels, total);
        }
    }

    /// One number that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// One number that only goes up.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// Begins a family.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One number of the family that was begun.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.push(format_args!("{label}=\""));
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str(r"\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes all there is");
    }
}
