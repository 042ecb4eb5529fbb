//! What the supervisor sees of its own pipeline, through taps like anybody else's: rates, latencies, what became of every frame.

use hanja_record::{
    Backend, DetectionRecord, Histogram, Histograms, MetricId, StageName, StageStats, Status, Taps,
};
use hanja_ring::Sample;
use hanja_stage::accounting::RecordCheck;
use hanja_stage::accounting::{FrameAccounting, FrameTotals};
use hdrhistogram::Histogram as Precise;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Spans that get a histogram: their names in the summary, and where they lie among a frame's stamps. `capture` + `infer`
/// = end to end.
fn spans() -> Vec<(&'static str, (usize, usize))> {
    let [capture, infer] = [MetricId::CAPTURE, MetricId::INFER];
    let mut all = vec![
        ("capture", MetricId::whole(capture)),
        ("infer", MetricId::whole(infer)),
    ];
    let single = [capture, infer, &[MetricId::EndToEnd]].concat();
    all.extend(single.into_iter().map(|id| (id.name(), id.ends())));
    all
}

/// A latency over the whole run, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Everything the summary needs.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seconds: f64,
    pub(super) backend: Backend,
    /// In words, with the reasons.
    pub(super) backend_choice: String,
    pub(super) model: String,
    pub(super) totals: FrameTotals,
    pub(super) detections: u64,
    pub(super) fps: [f64; 3],
    pub(super) latency: Vec<(&'static str, Quantiles)>,
}

/// The newest word of one stage.
#[derive(Debug)]
struct StageView {
    stats: Option<StageStats>,
    description: String,
    /// Since the process started.
    histograms: Histograms,
    /// Frames of earlier lives of the stage.
    earlier: u64,
    first_ns: u64,
}

#[derive(Debug)]
pub(super) struct Observer {
    started: Instant,
    taps: Taps,
    stages: [StageView; 3],
    sample: Sample,
    frame_sample: Sample,
    accounting: FrameAccounting,
    /// To three digits, which the buckets of statistics are not: the summary is for measuring.
    spans: Vec<(&'static str, (usize, usize), Precise<u64>)>,
    /// Of render, in its own words; lives that are over.
    deliver: Histogram,
    record_check: RecordCheck,
    last: Option<DetectionRecord>,
    newest_frame: (u64, u64),
    found: u64,
    first_said: bool,
}

impl Observer {
    pub(super) fn new(dir: &Path) -> Self {
        // Up to ten minutes, to three digits.
        let histogram = || Precise::new_with_bounds(1, 600_000_000, 3).expect("constant bounds");
        let view = |_| StageView {
            stats: None,
            description: String::new(),
            histograms: Histograms::default(),
            earlier: 0,
            first_ns: 0,
        };
        Self {
            started: Instant::now(),
            taps: Taps::new(dir),
            stages: StageName::ALL.map(view),
            sample: Sample::default(),
            frame_sample: Sample::default(),
            accounting: FrameAccounting::default(),
            spans: spans()
                .into_iter()
                .map(|(name, ends)| (name, ends, histogram()))
                .collect(),
            deliver: Histogram::new(),
            record_check: RecordCheck::default(),
            last: None,
            newest_frame: (0, 0),
            found: 0,
            first_said: false,
        }
    }

    /// Takes in everything that is new; waits at most `timeout` for a detection record.
    pub(super) fn poll(&mut self, timeout: Duration) {
        self.take_stats();
        self.take_frame();
        let mut wait = timeout;
        // Bounded, so that a fast stream cannot keep the supervisor from its children.
        for _ in 0..64 {
            if !self.taps.records.next(&mut self.sample, wait) {
                break;
            }
            wait = Duration::ZERO;
            self.take_record();
        }
    }

    fn take_record(&mut self) {
        let record = match DetectionRecord::from_bytes(&self.sample.payload) {
            Ok(record) => record,
            Err(e) => {
                super::say(&format!(
                    "infer published something that is not a detection record: {e}"
                ));
                return;
            }
        };
        self.take_frame(); // the accounting wants to know the frame before its record
        let before = self.accounting.unseen();
        self.accounting.record(&record.header);
        let unseen = self.accounting.unseen() - before;
        if unseen > 0 {
            super::say(&format!(
                "{unseen} frames are counted by infer's word alone: their ring was gone before it could be read"
            ));
        }
        if let Err(discrepancy) = self.record_check.check(&record.header) {
            super::say(&format!("{discrepancy}; a bug, please report it"));
        }
        self.found += record.detections.len() as u64;
        if record.header.status == Status::Ok as u16 {
            for (_, ends, histogram) in &mut self.spans {
                let (from, to) = record.header.times.between(*ends);
                if from != 0 && to >= from {
                    histogram.saturating_record((to - from) / 1000);
                }
            }
        }
        if !self.first_said && !record.detections.is_empty() {
            self.first_said = true;
            let ms = self.started.elapsed().as_millis();
            super::say(&format!(
                "first detection {ms} ms after the start: {}",
                labels(&record, 1)
            ));
        }
        self.last = Some(record);
    }

    fn take_frame(&mut self) {
        // Until there is no news: at a change of generation the old one's last frame comes first.
        while let Some(meta) = self.taps.newest_frame(&mut self.frame_sample) {
            self.newest_frame = (meta.generation, meta.seq);
            self.accounting.frame(&meta);
        }
    }

    fn take_stats(&mut self) {
        for (view, tap) in self.stages.iter_mut().zip(&mut self.taps.stats) {
            while tap.next(&mut self.sample, Duration::ZERO) {
                let Ok(stats) = StageStats::from_bytes(&self.sample.payload) else {
                    continue;
                };
                if let Some(old) = view.stats.filter(|old| old.pid != stats.pid) {
                    view.earlier = view.earlier.saturating_add(old.frames_total);
                }
                if view.first_ns == 0 {
                    view.first_ns = stats.started_ns;
                }
                let histograms = stats.histograms_in(&self.sample.payload);
                if let Some(h) = histograms.get(MetricId::Deliver) {
                    // What is new in it: the whole of it, if it is another process's.
                    match view
                        .same_life(&stats)
                        .then(|| view.histograms.get(MetricId::Deliver))
                    {
                        Some(Some(before)) => self.deliver.merge(&h.since(before)),
                        _ => self.deliver.merge(h),
                    }
                }
                view.histograms = histograms;
                view.description = stats.words_in(&self.sample.payload);
                view.stats = Some(stats);
            }
        }
    }

    /// Waits until the newest frame is inferred, at most `timeout`.
    pub(super) fn drain(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            self.poll(Duration::from_millis(10));
            let done = self
                .last
                .as_ref()
                .map(|r| (r.header.frame_generation, r.header.frame_seq));
            if done.is_some_and(|done| done >= self.newest_frame) {
                return;
            }
        }
    }

    /// One readable line: rates, latencies, what is seen.
    pub(super) fn line(&self) -> String {
        if self.stages.iter().all(|view| view.stats.is_none()) {
            return "starting".into(); // the first figures come after a second of a stage's life
        }
        let mut line = String::from("fps");
        for (stage, view) in StageName::ALL.iter().zip(&self.stages) {
            let _ = match &view.stats {
                Some(stats) => write!(line, "  {} {:.1}", stage.name(), stats.fps()),
                None => write!(line, "  {} -", stage.name()),
            };
        }
        let metric = |id| {
            self.stages[1]
                .stats
                .as_ref()
                .and_then(|s| s.metric(id).copied())
        };
        for (name, id) in [
            ("inference", MetricId::Inference),
            ("end to end", MetricId::EndToEnd),
        ] {
            if let Some(m) = metric(id).filter(|m| m.count > 0) {
                let (p50, p99) = (f64::from(m.p50_us) / 1e3, f64::from(m.p99_us) / 1e3);
                let _ = write!(line, " | {name} p50 {p50:.1} p99 {p99:.1} ms");
            }
        }
        match &self.last {
            Some(record) if record.detections.is_empty() => line.push_str(" | nothing in sight"),
            Some(record) => {
                let _ = write!(line, " | {}", labels(record, 6));
            }
            None => line.push_str(" | no detections yet"),
        }
        line
    }

    /// Last look after all stages have ended; rings outlive their writers.
    pub(super) fn finish(mut self) -> Report {
        self.poll(Duration::ZERO);
        self.take_frame();
        let quantiles = |q: &dyn Fn(f64) -> f64| Quantiles {
            p50: q(0.5) / 1000.0,
            p99: q(0.99) / 1000.0,
        };
        let mut latency: Vec<_> = self
            .spans
            .iter()
            .map(|(name, _, h)| (*name, quantiles(&|q| h.value_at_quantile(q) as f64)))
            .collect();
        let deliver = |q| self.deliver.quantile(q).unwrap_or(0.0);
        latency.push(("render", quantiles(&deliver)));
        let fps = [0, 1, 2].map(|i| self.stages[i].mean_fps());
        let last = self.last.as_ref();
        Report {
            seconds: self.started.elapsed().as_secs_f64(),
            backend: last.map_or(Backend::None, DetectionRecord::backend),
            backend_choice: std::mem::take(&mut self.stages[1].description),
            model: self.stages[1]
                .stats
                .as_ref()
                .map(StageStats::what)
                .unwrap_or_default(),
            totals: self.accounting.close(),
            detections: self.found,
            fps,
            latency,
        }
    }
}

impl StageView {
    /// Whether these are the same process's as the last.
    fn same_life(&self, stats: &StageStats) -> bool {
        let life = |s: &StageStats| (s.pid, s.started_ns);
        self.stats
            .as_ref()
            .is_some_and(|last| life(last) == life(stats))
    }

    /// Frames per second from the first life's start to the last word.
    fn mean_fps(&self) -> f64 {
        let Some(stats) = &self.stats else { return 0.0 };
        let seconds = stats.t_ns.saturating_sub(self.first_ns) as f64 / 1e9;
        if seconds > 0.0 {
            self.earlier.saturating_add(stats.frames_total) as f64 / seconds
        } else {
            0.0
        }
    }
}

/// The best `most` detections in words.
pub(crate) fn labels(record: &DetectionRecord, most: usize) -> String {
    let mut best: Vec<_> = record.detections.iter().collect();
    best.sort_by(|a, b| b.score.total_cmp(&a.score));
    let labels = best
        .iter()
        .take(most)
        .map(|d| format!("{} {:.2}", hanja_record::numeral(d.class), d.score));
    let mut text = labels.collect::<Vec<_>>().join("  ");
    if best.len() > most {
        let _ = write!(text, "  and {} more", best.len() - most);
    }
    text
}
