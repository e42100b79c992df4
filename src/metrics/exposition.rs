//! The text that Prometheus reads.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::histogram::Snapshot;

/// What a family of numbers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A page of metrics in the making.
///
/// Source: Prometheus, "Exposition formats", text format 0.0.4.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    family: &'static str,
}

/// The bounds that histograms show, in microseconds: from what a ring takes to what a person notices.
const BOUNDS_MICROS: [u64; 18] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000,
    30_000_000,
];

impl Exposition {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.family = name;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A number of the current family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = self.family;
        self.labelled(name, "", labels, None, value);
    }

    /// A distribution of the current family, in seconds.
    pub fn histogram(&mut self, labels: &[(&str, &str)], seen: &Snapshot) {
        let name = self.family;
        for micros in BOUNDS_MICROS {
            let bound = (micros as f64 / 1e6).to_string();
            let count = seen.count_up_to(Duration::from_micros(micros));
            self.labelled(name, "_bucket", labels, Some(&bound), count);
        }
        self.labelled(name, "_bucket", labels, Some("+Inf"), seen.count());
        self.labelled(name, "_sum", labels, None, seen.sum().as_secs_f64());
        self.labelled(name, "_count", labels, None, seen.count());
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }

    fn labelled(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[(&str, &str)],
        bound: Option<&str>,
        value: impl Display,
    ) {
        self.line(format_args!("{name}{suffix}"));
        let bound = bound.map(|bound| ("le", bound));
        let mut separator = '{';
        for (label, text) in labels.iter().copied().chain(bound) {
            self.line(format_args!("{separator}{label}=\"{}\"", Escaped(text)));
            separator = ',';
        }
        let end = if separator == ',' { "}" } else { "" };
        self.line(format_args!("{end} {value}\n"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a string takes every text");
    }
}

/// A label's text, as the format wants it between quotation marks.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Kind};
    use crate::metrics::Histogram;
    use std::time::Duration;

    #[test]
    fn a_page_has_help_type_labels_and_escapes() {
        let mut page = Exposition::default();
        page.family("a_total", Kind::Counter, "How often.");
        page.sample(&[], 1);
        page.sample(&[("x", "a\"b\\c\nd"), ("y", "2")], 0.5);
        let expected = "# HELP a_total How often.\n# TYPE a_total counter\na_total 1\n\
                        a_total{x=\"a\\\"b\\\\c\\nd\",y=\"2\"} 0.5\n";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn a_distribution_is_cumulative_and_in_seconds() {
        let histogram = Histogram::default();
        [3, 3000].into_iter().for_each(|micros| histogram.record(Duration::from_micros(micros)));
        let mut page = Exposition::default();
        page.family("t_seconds", Kind::Histogram, "How long.");
        page.histogram(&[("d", "main")], &histogram.snapshot());
        let page = page.finish();
        for line in [
            "t_seconds_bucket{d=\"main\",le=\"0.000002\"} 0",
            "t_seconds_bucket{d=\"main\",le=\"0.000005\"} 1",
            "t_seconds_bucket{d=\"main\",le=\"0.005\"} 2",
            "t_seconds_bucket{d=\"main\",le=\"+Inf\"} 2",
            "t_seconds_sum{d=\"main\"} 0.003003",
            "t_seconds_count{d=\"main\"} 2",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} is not in\n{page}");
        }
    }
}
