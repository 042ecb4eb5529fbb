//! `/metrics`: the numbers in Prometheus' text format.

use super::numbers::{age_s, judge};
use crate::shared::{Numbers, Shared};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hanja_common::clock::now_ns;
use hanja_common::record::{MetricId, StageStats};
use hanja_common::stage::StageName;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let (numbers, watchers) = (shared.numbers().clone(), shared.watchers());
    let text = text(&numbers, watchers, now_ns());
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
}

/// One value per stage.
type OfStage = fn(&StageStats) -> f64;

/// Name, kind, help, value: one family each, a sample per stage that has been heard of.
const PER_STAGE: [(&str, &str, &str, OfStage); 6] = [
    (
        "hanja_frames_total",
        "counter",
        "Frames handled since the process started.",
        |s| s.frames_total as f64,
    ),
    (
        "hanja_fps",
        "gauge",
        "Frames per second over the last second.",
        StageStats::fps,
    ),
    ("hanja_resident_bytes", "gauge", "Resident memory.", |s| {
        f64::from(s.rss_kib) * 1024.0
    }),
    (
        "hanja_cpu_seconds_total",
        "counter",
        "CPU time of the process.",
        |s| s.cpu_us as f64 / 1e6,
    ),
    (
        "hanja_readers",
        "gauge",
        "Processes attached to the rings.",
        |s| f64::from(s.readers),
    ),
    (
        "hanja_start_seconds",
        "gauge",
        "Start of the process, CLOCK_MONOTONIC.",
        |s| s.started_ns as f64 / 1e9,
    ),
];

fn text(n: &Numbers, watchers: usize, now: u64) -> String {
    let mut t = Text(String::with_capacity(8192));
    let stages: Vec<_> = StageName::ALL
        .iter()
        .filter_map(|s| Some((s.name(), n.stage(*s)?)))
        .collect();
    for (name, kind, help, value) in PER_STAGE {
        t.family(name, kind, help);
        for (stage, s) in &stages {
            t.sample(name, &format!("{{stage=\"{stage}\"}}"), value(s));
        }
    }
    t.family(
        "hanja_stats_age_seconds",
        "gauge",
        "Since the stage last reported.",
    );
    for (stage, s) in &stages {
        let age = age_s(now, s.t_ns).unwrap_or_default();
        t.sample(
            "hanja_stats_age_seconds",
            &format!("{{stage=\"{stage}\"}}"),
            age,
        );
    }
    skipped(&mut t, n);
    latencies(&mut t, &stages);
    view(&mut t, n, watchers, now);
    t.0
}

fn skipped(t: &mut Text, n: &Numbers) {
    const NAME: &str = "hanja_frames_skipped_total";
    t.family(
        NAME,
        "counter",
        "Frames no detections were sought in, by reason.",
    );
    if let Some(s) = n.stage(StageName::Capture) {
        t.sample(NAME, "{stage=\"capture\",reason=\"lost\"}", s.lost_total);
        t.sample(
            NAME,
            "{stage=\"capture\",reason=\"ring_full\"}",
            s.dropped_total,
        );
    }
    if let Some(s) = n.stage(StageName::Infer) {
        t.sample(
            NAME,
            "{stage=\"infer\",reason=\"busy\"}",
            s.skipped_busy_total,
        );
        t.sample(
            NAME,
            "{stage=\"infer\",reason=\"undecodable\"}",
            s.skipped_undecodable_total,
        );
        t.sample(
            NAME,
            "{stage=\"infer\",reason=\"no_signal\"}",
            s.skipped_no_signal_total,
        );
    }
}

fn latencies(t: &mut Text, stages: &[(&str, &StageStats)]) {
    const NAME: &str = "hanja_latency_seconds";
    t.family(
        NAME,
        "gauge",
        "Latency of each step over the last second, by quantile.",
    );
    for (stage, s) in stages {
        for m in s.metrics.iter().filter(|m| m.count > 0) {
            let step = MetricId::from_u16(m.id).name();
            for (quantile, us) in [
                ("0.5", m.p50_us),
                ("0.9", m.p90_us),
                ("0.99", m.p99_us),
                ("1", m.max_us),
            ] {
                let labels =
                    format!("{{stage=\"{stage}\",step=\"{step}\",quantile=\"{quantile}\"}}");
                t.sample(NAME, &labels, f64::from(us) / 1e6);
            }
        }
    }
}

fn view(t: &mut Text, n: &Numbers, watchers: usize, now: u64) {
    let counters = [
        (
            "hanja_records_total",
            "Detection records seen.",
            n.records_total,
        ),
        (
            "hanja_records_missed_total",
            "Records overwritten before render read them.",
            n.records_missed_total,
        ),
        (
            "hanja_detections_total",
            "Detections in these records.",
            n.detections_total,
        ),
        (
            "hanja_pictures_total",
            "Pictures made for the web view.",
            n.pictures_total,
        ),
        (
            "hanja_render_failures_total",
            "Records and frames that could not be shown.",
            n.failures_total,
        ),
    ];
    for (name, help, value) in counters {
        t.family(name, "counter", help);
        t.sample(name, "", value);
    }
    t.family("hanja_watchers", "gauge", "Open picture streams.");
    t.sample("hanja_watchers", "", watchers);
    t.family(
        "hanja_data_age_seconds",
        "gauge",
        "Since the newest frame with a record left the sensor.",
    );
    if let Some(age) = age_s(now, n.record_sensor_ns) {
        t.sample("hanja_data_age_seconds", "", age);
    }
    t.family("hanja_healthy", "gauge", "1 if /healthz says 200.");
    t.sample("hanja_healthy", "", u8::from(judge(n, now).ok));
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_common::record::Metric;

    #[test]
    fn the_text_is_well_formed() {
        let mut n = Numbers::default();
        let mut infer = StageStats {
            t_ns: 5_000_000_000,
            skipped_busy_total: 7,
            ..StageStats::new(2)
        };
        infer.metrics[0] = Metric {
            id: MetricId::Inference as u16,
            count: 3,
            p50_us: 1500,
            ..Default::default()
        };
        n.set_stage(StageName::Infer, infer, String::new());
        let text = text(&n, 2, 6_000_000_000);
        for line in [
            "hanja_frames_skipped_total{stage=\"infer\",reason=\"busy\"} 7",
            "hanja_latency_seconds{stage=\"infer\",step=\"inference\",quantile=\"0.5\"} 0.0015",
            "hanja_stats_age_seconds{stage=\"infer\"} 1",
            "hanja_watchers 2",
            "hanja_healthy 0",
            "# TYPE hanja_fps gauge",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
                let help = format!("# HELP {family} ");
                assert_eq!(text.matches(&help).count(), 1, "{help}");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} is not of {family}");
                assert!(
                    line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(),
                    "{line}"
                );
            }
        }
        assert!(text.ends_with('\n'));
    }
}
