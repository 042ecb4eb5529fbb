//! `/metrics`: the numbers in Prometheus' text format, named by its conventions. `docs/metrics.md` has the table.

mod text;

use super::numbers::{age_s, judge};
use crate::shared::{Numbers, Shared};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hanja_record::{ABI_MAJOR, ABI_MINOR, Backend, MetricId, StageName, StageStats};
use hanja_ring::now_ns;
use hanja_stage::liveness;
use std::sync::Arc;
use text::Text;

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let (numbers, watchers) = (shared.numbers().clone(), shared.watchers());
    let text = text(&numbers, watchers, now_ns());
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
}

/// Name, kind, help, value: one family each, a sample per stage that has been heard of.
type PerStage = (
    &'static str,
    &'static str,
    &'static str,
    fn(&StageStats) -> f64,
);

const PER_STAGE: [PerStage; 7] = [
    (
        "hanja_frames_total",
        "counter",
        "Frames published (capture) or looked at (infer), records handled (render), since the process started.",
        |s| s.frames_total as f64,
    ),
    (
        "hanja_fps",
        "gauge",
        "Frames per second over the last second.",
        StageStats::fps,
    ),
    (
        "hanja_resident_memory_bytes",
        "gauge",
        "Resident memory of the process.",
        |s| f64::from(s.rss_kib) * 1024.0,
    ),
    (
        "hanja_resident_memory_peak_bytes",
        "gauge",
        "Most resident memory since the process started.",
        |s| f64::from(s.rss_peak_kib) * 1024.0,
    ),
    (
        "hanja_queue_age_seconds",
        "gauge",
        "Longest that an input taken in the last second had been waiting.",
        |s| f64::from(s.queue_age_us) / 1e6,
    ),
    (
        "hanja_ring_generation",
        "gauge",
        "Generation of the ring the stage writes: changes with every restart and every new frame size.",
        |s| s.generation as f64,
    ),
    (
        "hanja_frames_unbalanced_total",
        "counter",
        "Frames whose times or counts did not add up: a bug if it is not 0.",
        |s| s.unbalanced_total as f64,
    ),
];

/// Name and last word of a stage.
type Reported<'n> = (&'static str, &'n StageStats);

fn text(n: &Numbers, watchers: usize, now: u64) -> String {
    let mut t = Text::new();
    let all: Vec<Reported<'_>> = StageName::ALL
        .iter()
        .filter_map(|s| Some((s.name(), n.stage(*s)?)))
        .collect();
    // What was true in the last second of a stage that says nothing more is not true now. What it counted is.
    let speaking = all.iter().filter(|(_, s)| liveness::reports(s, now));
    let speaking: Vec<_> = speaking.copied().collect();
    about(&mut t, &speaking);
    for (name, kind, help, value) in PER_STAGE {
        t.family(name, kind, help);
        let stages = if kind == "gauge" { &speaking } else { &all };
        for (stage, s) in stages {
            t.sample(name, &[("stage", stage)], value(s));
        }
    }
    readers(&mut t, &speaking);
    processes(&mut t, n, &all, now);
    skipped(&mut t, &all);
    durations(&mut t, n);
    slowest(&mut t, &speaking);
    view(&mut t, n, watchers);
    health(&mut t, n, now);
    t.done()
}

/// What runs: constant 1, the words are in the labels.
fn about(t: &mut Text, stages: &[Reported<'_>]) {
    const BUILD: &str = "hanja_build_info";
    t.family(
        BUILD,
        "gauge",
        "Version of this executable and of its shared-memory records.",
    );
    let abi = format!("{ABI_MAJOR}.{ABI_MINOR}");
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("abi", &abi)];
    t.sample(BUILD, &labels, 1);
    const STAGE: &str = "hanja_stage_info";
    t.family(
        STAGE,
        "gauge",
        "Source (capture), model (infer) or address (render) in words.",
    );
    for (stage, s) in stages {
        t.sample(STAGE, &[("stage", stage), ("what", &s.what())], 1);
    }
    const BACKEND: &str = "hanja_backend_info";
    t.family(BACKEND, "gauge", "What computes.");
    for (_, s) in stages
        .iter()
        .filter(|(_, s)| s.stage == StageName::Infer as u16)
    {
        let backend = Backend::from_u16(s.backend).name();
        t.sample(BACKEND, &[("backend", backend)], 1);
    }
}

fn readers(t: &mut Text, stages: &[Reported<'_>]) {
    const READERS: &str = "hanja_readers";
    t.family(
        READERS,
        "gauge",
        "Processes attached to the stage's rings: leasing stages, and taps.",
    );
    for (stage, s) in stages {
        t.sample(READERS, &[("stage", stage), ("kind", "lease")], s.leases);
        t.sample(READERS, &[("stage", stage), ("kind", "tap")], s.taps);
    }
}

fn processes(t: &mut Text, n: &Numbers, stages: &[Reported<'_>], now: u64) {
    const CPU: &str = "hanja_cpu_seconds_total";
    t.family(
        CPU,
        "counter",
        "CPU time of the process, in the program and in the kernel.",
    );
    for (stage, s) in stages {
        let seconds = |us: u64| us as f64 / 1e6;
        let user = s.cpu_us.saturating_sub(s.cpu_system_us);
        t.sample(CPU, &[("stage", stage), ("mode", "user")], seconds(user));
        let system = [("stage", *stage), ("mode", "system")];
        t.sample(CPU, &system, seconds(s.cpu_system_us));
    }
    const START: &str = "hanja_stage_start_time_seconds";
    t.family(START, "gauge", "Start of the process, seconds since 1970.");
    for (name, life) in StageName::ALL.iter().zip(&n.lives) {
        if life.started_unix_s > 0.0 {
            t.sample(START, &[("stage", name.name())], life.started_unix_s);
        }
    }
    const RESTARTS: &str = "hanja_stage_restarts_total";
    t.family(
        RESTARTS,
        "counter",
        "Restarts of the stage that render has seen since its own start.",
    );
    for (name, life) in StageName::ALL.iter().zip(&n.lives) {
        t.sample(RESTARTS, &[("stage", name.name())], life.restarts);
    }
    const AGE: &str = "hanja_stats_age_seconds";
    t.family(AGE, "gauge", "Since the stage last reported.");
    for (stage, s) in stages {
        let age = age_s(now, s.t_ns).unwrap_or_default();
        t.sample(AGE, &[("stage", stage)], age);
    }
}

fn skipped(t: &mut Text, stages: &[Reported<'_>]) {
    const NAME: &str = "hanja_frames_skipped_total";
    t.family(
        NAME,
        "counter",
        "Frames and records that were not handled, by the stage that knows and the reason.",
    );
    for (stage, s) in stages {
        for (reason, count) in s.drops() {
            t.sample(NAME, &[("stage", stage), ("reason", reason)], count);
        }
    }
}

/// Histograms since the start of each stage.
fn durations(t: &mut Text, n: &Numbers) {
    const STEP: &str = "hanja_step_duration_seconds";
    const WHOLE: &str = "hanja_end_to_end_duration_seconds";
    let all = StageName::ALL.map(|name| (name.name(), n.histograms(name)));
    t.family(
        STEP,
        "histogram",
        "How long each step took; the steps of a frame sum to its way from end to end.",
    );
    for (stage, histograms) in &all {
        let steps = histograms.iter().filter(|(id, _)| whole(*id).is_none());
        for (id, histogram) in steps {
            t.histogram(STEP, &[("stage", stage), ("step", id.name())], histogram);
        }
    }
    t.family(
        WHOLE,
        "histogram",
        "From the sensor to the detections being visible, and to the picture's first byte out.",
    );
    for (_, histograms) in &all {
        for (id, histogram) in histograms.iter() {
            if let Some(to) = whole(id) {
                t.histogram(WHOLE, &[("to", to)], histogram);
            }
        }
    }
}

/// Where a way ends that begins at the sensor; `None` for a single step.
fn whole(id: MetricId) -> Option<&'static str> {
    match id {
        MetricId::EndToEnd => Some("detections"),
        MetricId::Show => Some("picture"),
        _ => None,
    }
}

fn slowest(t: &mut Text, stages: &[Reported<'_>]) {
    const NAME: &str = "hanja_step_longest_seconds";
    t.family(NAME, "gauge", "Longest of each step in the last second.");
    for (stage, s) in stages {
        let steps = s.metrics.iter().filter(|m| m.count > 0);
        for m in steps.filter(|m| whole(MetricId::from_u16(m.id)).is_none()) {
            let step = MetricId::from_u16(m.id).name();
            t.sample(
                NAME,
                &[("stage", stage), ("step", step)],
                f64::from(m.max_us) / 1e6,
            );
        }
    }
}

fn view(t: &mut Text, n: &Numbers, watchers: usize) {
    let counters = [
        (
            "hanja_records_total",
            "Detection records seen.",
            n.records_total,
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
        t.single(name, "counter", help, value);
    }
    t.single("hanja_watchers", "gauge", "Open picture streams.", watchers);
}

/// The judgement of `/healthz`, state by state.
fn health(t: &mut Text, n: &Numbers, now: u64) {
    let health = judge(n, now);
    t.family(
        "hanja_data_age_seconds",
        "gauge",
        "Since the newest frame with a record left the sensor.",
    );
    if let Some(age) = health.data_age_s {
        t.sample("hanja_data_age_seconds", &[], age);
    }
    let ok = u8::from(health.live.ok);
    t.single("hanja_healthy", "gauge", "1 if /healthz says 200.", ok);
    const STATE: &str = "hanja_state";
    t.family(
        STATE,
        "gauge",
        "1 at the state the pipeline is in, 0 at the others.",
    );
    for state in liveness::State::ALL {
        let is = u8::from(state == health.live.overall.state);
        t.sample(STATE, &[("state", state.code())], is);
    }
    const STAGE: &str = "hanja_stage_state";
    t.family(
        STAGE,
        "gauge",
        "1 at the state the stage is in, 0 at the others.",
    );
    for (name, stage) in health.live.stages.named() {
        for state in liveness::State::ALL {
            let is = u8::from(state == stage.state);
            t.sample(STAGE, &[("stage", name), ("state", state.code())], is);
        }
    }
    const NOTICE: &str = "hanja_notice";
    t.family(
        NOTICE,
        "gauge",
        "1 while there is something that may be in order and may not.",
    );
    for code in liveness::NOTICES {
        let is = u8::from(health.live.notices.iter().any(|n| n.code == code));
        t.sample(NOTICE, &[("code", code)], is);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::{Histogram, Metric};

    #[test]
    fn the_text_is_well_formed() {
        let mut n = Numbers::default();
        let mut infer = StageStats {
            t_ns: 5_000_000_000,
            skipped_busy_total: 7,
            backend: Backend::Rten as u16,
            ..StageStats::new(2)
        };
        let mut steps = Histogram::new();
        steps.record_ns(1_400_000);
        let mut bytes = Vec::new();
        infer.encode_into("", [(MetricId::Inference, &steps)], &mut bytes);
        n.set_stage(StageName::Infer, infer, &bytes);
        let text = text(&n, 2, 6_000_000_000);
        for line in [
            "hanja_frames_skipped_total{stage=\"infer\",reason=\"busy\"} 7",
            "hanja_step_duration_seconds_bucket{stage=\"infer\",step=\"inference\",le=\"0.001024\"} 0",
            "hanja_step_duration_seconds_bucket{stage=\"infer\",step=\"inference\",le=\"0.001536\"} 1",
            "hanja_step_duration_seconds_sum{stage=\"infer\",step=\"inference\"} 0.0014",
            "hanja_stats_age_seconds{stage=\"infer\"} 1",
            "hanja_backend_info{backend=\"rten\"} 1",
            "hanja_watchers 2",
            "hanja_healthy 0",
            "hanja_state{state=\"starting\"} 1",
            "hanja_stage_state{stage=\"infer\",state=\"live\"} 0",
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
    /// A stage that has fallen silent, whether it is still attached or not.
    #[test]
    fn what_was_true_of_the_last_second_ends_and_what_was_counted_stays() {
        let mut n = Numbers::default();
        for (name, t_ns) in StageName::ALL.into_iter().zip([9, 5, 9]) {
            let mut stats = StageStats {
                t_ns: t_ns * 1_000_000_000,
                fps_milli: 30_000,
                frames_total: 100,
                rss_kib: 5000,
                backend: Backend::Rten as u16,
                ..StageStats::new(name as u16)
            };
            stats.metrics[0] = Metric {
                id: MetricId::Queue as u16,
                count: 30,
                max_us: 5,
                ..Metric::default()
            };
            let mut steps = Histogram::new();
            steps.record_ns(1_400_000);
            let mut bytes = Vec::new();
            stats.encode_into("", [(MetricId::Queue, &steps)], &mut bytes);
            n.set_stage(name, stats, &bytes);
        }
        let text = text(&n, 0, 9_500_000_000);
        let gauges = [
            "hanja_fps",
            "hanja_resident_memory_bytes",
            "hanja_resident_memory_peak_bytes",
            "hanja_queue_age_seconds",
            "hanja_step_longest_seconds",
            "hanja_readers",
            "hanja_ring_generation",
            "hanja_stage_info",
        ];
        let has = |name: &str, stage: &str| text.contains(&format!("{name}{{stage=\"{stage}\""));
        for gauge in gauges {
            assert!(has(gauge, "capture") && has(gauge, "render"), "{gauge}");
            assert!(!has(gauge, "infer"), "{gauge}");
        }
        assert!(!text.contains("hanja_backend_info{"));
        for counted in [
            "hanja_frames_total",
            "hanja_frames_skipped_total",
            "hanja_frames_unbalanced_total",
            "hanja_cpu_seconds_total",
            "hanja_step_duration_seconds_bucket",
            "hanja_stats_age_seconds",
            "hanja_stage_state",
        ] {
            assert!(has(counted, "infer"), "{counted}");
        }
    }
}
