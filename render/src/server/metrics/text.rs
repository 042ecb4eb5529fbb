//! Prometheus' text format: one line a sample, its family named before it.

use hanja_record::Histogram;
use std::fmt::{Display, Write as _};

/// Upper bounds of the histograms' buckets, microseconds. Each is a bound of the finer buckets that stages count in, so
/// that these are exact sums of those: powers of two, between 1 ms and a quarter of a second with one in the middle,
/// since that is where a quantile is wanted exactly.
pub(super) const BOUNDS_US: [u64; 26] = [
    64, 128, 256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12_288, 16_384, 24_576, 32_768,
    49_152, 65_536, 98_304, 131_072, 196_608, 262_144, 524_288, 1_048_576, 2_097_152, 4_194_304,
    8_388_608,
];

/// The page under construction.
#[derive(Debug)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(32 << 10))
    }

    pub(super) fn done(self) -> String {
        self.0
    }

    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        self.labels(labels, None);
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// All samples of one histogram. A latency that is exactly a bound is counted above it.
    pub(super) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], h: &Histogram) {
        let mut fine = h.buckets().peekable();
        let mut below = 0;
        for bound in BOUNDS_US {
            while let Some((_, n)) = fine.next_if(|(end, _)| *end <= bound as f64) {
                below += n;
            }
            let le = (bound as f64 / 1e6).to_string();
            self.bucket(name, labels, &le, below);
        }
        self.bucket(name, labels, "+Inf", h.count());
        self.sample(&format!("{name}_sum"), labels, h.sum_ns() as f64 / 1e9);
        self.sample(&format!("{name}_count"), labels, h.count());
    }

    fn bucket(&mut self, name: &str, labels: &[(&str, &str)], le: &str, below: u64) {
        let _ = write!(self.0, "{name}_bucket");
        self.labels(labels, Some(le));
        let _ = writeln!(self.0, " {below}");
    }

    fn labels(&mut self, labels: &[(&str, &str)], le: Option<&str>) {
        let all = labels.iter().copied().chain(le.map(|le| ("le", le)));
        let mut before = '{';
        for (name, value) in all {
            let _ = write!(self.0, "{before}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' | '"' => self.0.extend(['\\', c]),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_one_of_the_finer_buckets() {
        let fine: Vec<_> = Histogram::new().buckets().map(|(end, _)| end).collect();
        for bound in BOUNDS_US {
            assert!(fine.contains(&(bound as f64)), "{bound}");
        }
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn a_histogram_is_cumulative_and_complete() {
        let mut h = Histogram::new();
        for us in [10, 63, 64, 900, 20_000, 60_000_000] {
            h.record_ns(us * 1000);
        }
        let mut text = Text::new();
        text.histogram("x_seconds", &[("stage", "a\"\\\nb")], &h);
        let text = text.done();
        for line in [
            r#"x_seconds_bucket{stage="a\"\\\nb",le="0.000064"} 2"#,
            r#"x_seconds_bucket{stage="a\"\\\nb",le="0.000128"} 3"#,
            r#"x_seconds_bucket{stage="a\"\\\nb",le="0.001024"} 4"#,
            r#"x_seconds_bucket{stage="a\"\\\nb",le="8.388608"} 5"#,
            r#"x_seconds_bucket{stage="a\"\\\nb",le="+Inf"} 6"#,
            r#"x_seconds_sum{stage="a\"\\\nb"} 60.021037"#,
            r#"x_seconds_count{stage="a\"\\\nb"} 6"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
    }
}
