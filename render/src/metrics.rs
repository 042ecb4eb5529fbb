//! `/metrics` in the Prometheus text format.

use crate::board::Facts;
use crate::json::Named;
use crate::status;
use hanja_common::record::{Metric, MetricId, NUMERALS, StageStats};
use hanja_common::stage::StageName;
use std::fmt::{Display, Write};

/// The content type that goes with [`page`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics at `now`.
pub(crate) fn page(facts: &Facts, viewers: usize, now: u64) -> String {
    let mut p = Page {
        out: String::with_capacity(8192),
    };
    p.family(
        "hanja_build_info",
        "gauge",
        "Version of this program; always 1.",
    );
    p.sample(
        "hanja_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    health(&mut p, facts, now);
    stages(&mut p, facts, now);
    latencies(&mut p, facts, now);
    frames(&mut p, facts);
    view(&mut p, facts, viewers);
    p.out
}

fn health(p: &mut Page, facts: &Facts, now: u64) {
    let health = status::judge(facts, now);
    p.family(
        "hanja_up",
        "gauge",
        "1: frames and detections are fresh, as /healthz judges.",
    );
    p.sample("hanja_up", &[], u8::from(health.ok));
    let name = "hanja_data_age_seconds";
    p.family(
        name,
        "gauge",
        "Age of the newest frame and the newest detections.",
    );
    for (data, age) in [
        ("frame", health.frame_age_ms),
        ("detections", health.detection_age_ms),
    ] {
        if let Some(ms) = age {
            p.sample(name, &[("data", data)], ms as f64 / 1e3);
        }
    }
}

/// One value of each stage that has spoken within the last seconds.
type PerStage = fn(&StageStats) -> f64;

fn stages(p: &mut Page, facts: &Facts, now: u64) {
    let families: [(&str, &str, &str, PerStage); 6] = [
        (
            "hanja_frames_total",
            "counter",
            "Frames captured, frames inferred, records rendered.",
            |s| s.frames_total as f64,
        ),
        (
            "hanja_frames_per_second",
            "gauge",
            "Rate over the last second.",
            StageStats::fps,
        ),
        (
            "hanja_readers",
            "gauge",
            "Processes attached to the stage's rings.",
            |s| s.readers.into(),
        ),
        (
            "hanja_resident_memory_bytes",
            "gauge",
            "Resident memory.",
            |s| f64::from(s.rss_kib) * 1024.0,
        ),
        (
            "hanja_cpu_seconds_total",
            "counter",
            "CPU time of the process.",
            |s| s.cpu_us as f64 / 1e6,
        ),
        (
            "hanja_uptime_seconds",
            "gauge",
            "Since the process started.",
            |s| s.t_ns.saturating_sub(s.started_ns) as f64 / 1e9,
        ),
    ];
    p.family(
        "hanja_stage_up",
        "gauge",
        "1: the stage has spoken within the last 3 seconds.",
    );
    for stage in StageName::ALL {
        let up = facts.alive(stage, now).is_some();
        p.sample("hanja_stage_up", &[("stage", stage.name())], u8::from(up));
    }
    for (name, kind, help, value) in families {
        p.family(name, kind, help);
        for stage in StageName::ALL {
            if let Some(stats) = facts.alive(stage, now) {
                p.sample(name, &[("stage", stage.name())], value(stats));
            }
        }
    }
}

fn latencies(p: &mut Page, facts: &Facts, now: u64) {
    let measured: Vec<&Metric> = StageName::ALL
        .iter()
        .filter_map(|stage| facts.alive(*stage, now))
        .flat_map(|stats| stats.metrics.iter().filter(|m| m.count > 0))
        .collect();
    let families: [(&str, &str, fn(&Metric) -> u32); 3] = [
        (
            "hanja_latency_p50_seconds",
            "Median latency over the last second.",
            |m| m.p50_us,
        ),
        (
            "hanja_latency_p99_seconds",
            "99th percentile over the last second.",
            |m| m.p99_us,
        ),
        (
            "hanja_latency_max_seconds",
            "Largest latency of the last second.",
            |m| m.max_us,
        ),
    ];
    for (name, help, value) in families {
        p.family(name, "gauge", help);
        for m in &measured {
            let stage = MetricId::from_u16(m.id).name();
            p.sample(name, &[("stage", stage)], f64::from(value(m)) / 1e6);
        }
    }
}

fn frames(p: &mut Page, facts: &Facts) {
    let name = "hanja_frames_skipped_total";
    p.family(
        name,
        "counter",
        "Frames captured but not looked at, by reason.",
    );
    let Named(skipped) = status::skipped(facts);
    for (reason, n) in skipped {
        p.sample(name, &[("reason", reason)], n);
    }
    let name = "hanja_frames_lost_total";
    p.family(name, "counter", "Frames lost in the camera's driver.");
    let lost = facts.stats[0].as_ref().map_or(0, |s| s.lost_total);
    p.sample(name, &[], lost);
    let name = "hanja_detections_total";
    p.family(
        name,
        "counter",
        "Objects found, by class, since render started.",
    );
    let others = std::iter::once("other");
    for (label, n) in NUMERALS.into_iter().chain(others).zip(facts.found) {
        p.sample(name, &[("label", label)], n);
    }
    let name = "hanja_detections";
    p.family(name, "gauge", "Objects in the newest record.");
    let newest = facts.record.as_ref().map_or(0, |r| r.detections.len());
    p.sample(name, &[], newest);
}

fn view(p: &mut Page, facts: &Facts, viewers: usize) {
    let counters = [
        (
            "hanja_records_total",
            "Detection records received by render.",
            facts.records,
        ),
        (
            "hanja_records_missed_total",
            "Records overwritten before render read them.",
            facts.missed,
        ),
        (
            "hanja_records_malformed_total",
            "Records that could not be understood.",
            facts.malformed,
        ),
        (
            "hanja_pictures_total",
            "Pictures made for viewers.",
            facts.pictures,
        ),
        (
            "hanja_pictures_failed_total",
            "Frames that could not be shown.",
            facts.unshown,
        ),
    ];
    for (name, help, n) in counters {
        p.family(name, "counter", help);
        p.sample(name, &[], n);
    }
    p.family("hanja_viewers", "gauge", "Picture streams being watched.");
    p.sample("hanja_viewers", &[], viewers);
}

struct Page {
    out: String,
}

// Writing to a string cannot fail, hence the ignored results.
impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            self.out.push(if n == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{label}=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const NOW: u64 = 50_000_000_000;

    fn facts() -> Facts {
        let mut infer = StageStats::new(2);
        infer.t_ns = NOW;
        infer.fps_milli = 30_500;
        infer.frames_total = 1234;
        infer.skipped_busy_total = 7;
        infer.metrics[0] = Metric {
            id: MetricId::Inference as u16,
            count: 30,
            p50_us: 20_000,
            p99_us: 31_000,
            max_us: 40_000,
            ..Default::default()
        };
        let mut facts = Facts {
            stats: [None, Some(infer), None],
            ..Default::default()
        };
        facts.found[2] = 9;
        facts
    }

    /// Reads the page the way Prometheus does; panics where promtool would complain.
    fn parse(text: &str) -> HashMap<String, f64> {
        let mut kinds = HashMap::new();
        let mut samples = HashMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(kinds.insert(name, kind).is_none(), "{name} declared twice");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                assert!(rest.split_once(' ').unwrap().1.ends_with('.'), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                assert!(kinds.contains_key(name), "{name} without a type");
                assert!(name.starts_with("hanja_"));
                let known = samples.insert(series.to_owned(), value.parse().unwrap());
                assert!(known.is_none(), "{series} twice");
            }
        }
        assert!(text.ends_with('\n'));
        samples
    }

    #[test]
    fn the_page_is_well_formed() {
        let samples = parse(&page(&facts(), 3, NOW));
        let get = |series: &str| samples.get(series).copied();
        assert_eq!(get(r#"hanja_frames_total{stage="infer"}"#), Some(1234.0));
        assert_eq!(get(r#"hanja_frames_per_second{stage="infer"}"#), Some(30.5));
        assert_eq!(get(r#"hanja_frames_per_second{stage="capture"}"#), None);
        assert_eq!(
            get(r#"hanja_latency_p99_seconds{stage="inference"}"#),
            Some(0.031)
        );
        assert_eq!(
            get(r#"hanja_frames_skipped_total{reason="busy"}"#),
            Some(7.0)
        );
        assert_eq!(get(r#"hanja_detections_total{label="三"}"#), Some(9.0));
        assert_eq!(get(r#"hanja_stage_up{stage="infer"}"#), Some(1.0));
        assert_eq!(get(r#"hanja_stage_up{stage="render"}"#), Some(0.0));
        assert_eq!(get("hanja_viewers"), Some(3.0));
        assert_eq!(get("hanja_up"), Some(0.0));
    }

    #[test]
    fn a_dead_stage_drops_out() {
        let samples = parse(&page(&facts(), 0, NOW + 4_000_000_000));
        assert!(!samples.contains_key(r#"hanja_frames_total{stage="infer"}"#));
        assert!(!samples.contains_key(r#"hanja_latency_p50_seconds{stage="inference"}"#));
    }

    #[test]
    fn labels_are_escaped() {
        let mut p = Page { out: String::new() };
        p.sample("x", &[("a", "q\"b\\s\nn"), ("b", "一")], 1.5);
        assert_eq!(p.out, "x{a=\"q\\\"b\\\\s\\nn\",b=\"一\"} 1.5\n");
    }
}
