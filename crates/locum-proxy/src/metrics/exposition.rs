//! The text that Prometheus reads: format 0.0.4 and OpenMetrics 1.0.

use std::fmt::{Display, Write};

use super::histogram::{BOUNDS, Histogram};

/// Which text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The media type of the format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Metric families being written as text.
pub struct Exposition {
    format: Format,
    text: String,
    family: &'static str,
}

impl Exposition {
    /// An empty text.
    pub fn new(format: Format) -> Self {
        Self { format, text: String::new(), family: "" }
    }

    /// Begins a counter; `name` without `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) {
        // OpenMetrics names the family without the suffix of its samples.
        let suffix = if self.format == Format::Prometheus { "_total" } else { "" };
        self.header(name, suffix, "counter", help);
    }

    /// Begins a gauge.
    pub fn gauge(&mut self, name: &'static str, help: &str) {
        self.header(name, "", "gauge", help);
    }

    /// Begins a histogram of seconds.
    pub fn histogram(&mut self, name: &'static str, help: &str) {
        self.header(name, "", "histogram", help);
    }

    fn header(&mut self, name: &'static str, suffix: &str, kind: &str, help: &str) {
        self.family = name;
        self.push(format_args!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
    }

    /// A sample of the counter begun last.
    pub fn count(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("_total", labels, value);
    }

    /// A sample of the gauge begun last.
    pub fn value(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, value);
    }

    /// A sample of the histogram begun last.
    pub fn durations(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut total = 0;
        let bounds = BOUNDS.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
        for (bound, count) in bounds.zip(&histogram.counts) {
            total += count;
            let mut labels = labels.to_vec();
            labels.push(("le", bound));
            self.sample("_bucket", &labels, total);
        }
        let seconds = histogram.nanos / 1_000_000_000;
        let nanos = histogram.nanos % 1_000_000_000;
        self.sample("_sum", labels, format_args!("{seconds}.{nanos:09}"));
        self.sample("_count", labels, total);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let family = self.family;
        self.push(format_args!("{family}{suffix}"));
        for (index, (name, label)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            self.push(format_args!("{open}{name}=\""));
            for character in label.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{close} {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("invariant: writing to a String cannot fail");
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counters_are_named_as_each_format_wants_it() {
        let text = |format| {
            let mut exposition = Exposition::new(format);
            exposition.counter("locum_calls", "Calls.");
            exposition.count(&[("route", "a\"b\\c\nd")], 3);
            exposition.finish()
        };
        let sample = "locum_calls_total{route=\"a\\\"b\\\\c\\nd\"} 3\n";
        let header = "# HELP locum_calls_total Calls.\n# TYPE locum_calls_total counter\n";
        assert_eq!(text(Format::Prometheus), format!("{header}{sample}"));
        let header = "# HELP locum_calls Calls.\n# TYPE locum_calls counter\n";
        assert_eq!(text(Format::OpenMetrics), format!("{header}{sample}# EOF\n"));
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        histogram.observe(Duration::from_micros(50));
        histogram.observe(Duration::from_secs(20));
        let mut exposition = Exposition::new(Format::Prometheus);
        exposition.histogram("h", "H.");
        exposition.durations(&[], &histogram);
        let text = exposition.finish();
        assert!(text.contains("h_bucket{le=\"0.0001\"} 1\n"));
        assert!(text.contains("h_bucket{le=\"10.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n"));
        assert!(text.ends_with("h_sum 20.000050000\nh_count 2\n"));
    }
}
