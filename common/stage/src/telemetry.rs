//! What a stage says about itself: a log line and a [`StageStats`] record once a second.

use crate::accounting::Discrepancy;
use crate::stage::{Manager, Stage};
use hanja_record::{Histogram, Metric, MetricId, StageStats, Topic};
use hanja_ring::{Geometry, Publisher, RingError, Server, now_ns};
use std::fmt::Write as _;
use std::sync::Arc;

mod drops;
mod line;
mod process;

pub use drops::{Drops, Reason};

const SECOND: u64 = 1_000_000_000;
/// Log target of the once-a-second lines, so that a filter can silence just them.
pub const FPS_TARGET: &str = "hanja_fps";

/// Set to `off`, this variable silences telemetry, to measure what it costs (`hanja bench telemetry`) and for nothing
/// else: no histograms, no checks, no line and no statistics once a second, only one record at the end. Times stay: they
/// are part of every record.
pub const OFF: &str = "HANJA_TELEMETRY";

fn is_on() -> bool {
    std::env::var_os(OFF).is_none_or(|value| value != "off")
}

/// One latency of the stage.
#[derive(Clone, Debug, Default)]
struct Latency {
    /// Since the process started.
    all: Histogram,
    /// What of it has been reported.
    reported: Histogram,
    /// Largest since the last report, nanoseconds.
    max_ns: u64,
}

/// Collects a stage's life and publishes it once a second on the stage's `stats` topic. Nothing here allocates or locks
/// after `new`, but for words to people: the log line, and the status line where a service manager listens.
#[derive(Debug)]
pub struct Reporter {
    publisher: Publisher,
    server: Server,
    manager: Arc<Manager>,
    stats: StageStats,
    words: String,
    /// By the number of their [`MetricId`], less one.
    latencies: Box<[Latency; MetricId::ALL.len()]>,
    frames: u64,
    since_ns: u64,
    line: String,
    bytes: Vec<u8>,
    on: bool,
    complained_ns: u64,
}

impl Reporter {
    /// `what`: the source, model or address in words.
    ///
    /// # Errors
    /// No memory for the ring.
    pub fn new(stage: &Stage, what: &str) -> Result<Self, RingError> {
        let geometry = Geometry {
            slots: 8,
            meta_len: 0,
            payload_capacity: StageStats::MAX_BYTES as u64,
        };
        let publisher = stage.publisher(Topic::Stats, geometry)?;
        let mut stats = StageStats::new(stage.name() as u16);
        stats.started_ns = now_ns();
        stats.pid = std::process::id();
        stats.set_what(what);
        let since_ns = stats.started_ns;
        let server = stage.server();
        Ok(Self {
            publisher,
            server,
            manager: stage.manager(),
            stats,
            words: String::new(),
            latencies: Box::default(),
            frames: 0,
            since_ns,
            line: String::with_capacity(512),
            bytes: Vec::with_capacity(StageStats::MAX_BYTES),
            on: is_on(),
            complained_ns: 0,
        })
    }

    /// False where [`OFF`] says so.
    #[must_use]
    pub fn on(&self) -> bool {
        self.on
    }

    /// One latency. Spans with an unset or later start are left out.
    pub fn record(&mut self, id: MetricId, from_ns: u64, to_ns: u64) {
        let place = (id as usize).checked_sub(1); // `MetricId::None` is nobody's
        let Some(latency) = place.and_then(|at| self.latencies.get_mut(at)) else {
            return;
        };
        if from_ns == 0 || to_ns < from_ns || !self.on {
            return;
        }
        latency.all.record_ns(to_ns - from_ns);
        latency.max_ns = latency.max_ns.max(to_ns - from_ns);
    }

    /// One frame handled, which left the sensor at `sensor_ns` (0: unknown).
    pub fn frame(&mut self, sensor_ns: u64) {
        self.frames += 1;
        self.stats.frames_total += 1;
        self.stats.newest_ns = self.stats.newest_ns.max(sensor_ns);
    }

    /// What a check of the frame's numbers gave. Counted always; said once a second at most.
    pub fn check(&mut self, outcome: Result<(), Discrepancy>) {
        let Err(discrepancy) = outcome else { return };
        self.stats.unbalanced_total += 1;
        let now = now_ns();
        if self.complained_ns == 0 || now.saturating_sub(self.complained_ns) >= SECOND {
            self.complained_ns = now;
            let n = self.stats.unbalanced_total;
            tracing::error!("{discrepancy}; a bug, please report it (number {n} of this process)");
        }
    }

    /// The record under construction: counters, backend, generation and `what` are the stage's to set.
    pub fn stats_mut(&mut self) -> &mut StageStats {
        &mut self.stats
    }

    /// The words behind the record, see [`StageStats::words_in`].
    pub fn set_words(&mut self, words: &str) {
        self.words = self.stats.set_words(words).to_owned();
    }

    /// Publishes if a second has passed. Call it once a frame, and at least every 250 ms without frames.
    pub fn tick(&mut self) {
        if self.on && now_ns().saturating_sub(self.since_ns) >= SECOND {
            self.report();
        }
    }

    /// The last word before the process ends.
    pub fn finish(&mut self) {
        self.report();
    }

    fn report(&mut self) {
        let now = now_ns();
        let span = now.saturating_sub(self.since_ns).max(1);
        let stats = &mut self.stats;
        stats.t_ns = now;
        stats.fps_milli = (u128::from(self.frames) * 1_000_000_000_000 / u128::from(span)) as u32;
        let usage = process::usage();
        (stats.rss_kib, stats.rss_peak_kib) = (usage.resident_kib, usage.peak_kib);
        (stats.cpu_us, stats.cpu_system_us) = (usage.cpu_us, usage.system_us);
        (stats.leases, stats.taps) = self.server.attached();
        stats.readers = stats.leases.saturating_add(stats.taps);
        stats.metrics = Default::default();
        stats.queue_age_us = 0;
        let mut metrics = stats.metrics.iter_mut();
        for (id, latency) in MetricId::ALL.into_iter().zip(self.latencies.iter_mut()) {
            let second = latency.all.since(&latency.reported);
            if second.count() > 0
                && let Some(metric) = metrics.next()
            {
                *metric = summary(id, &second, latency.max_ns);
                latency.reported.merge(&second);
                latency.max_ns = 0;
                if matches!(id, MetricId::Queue | MetricId::Deliver) {
                    stats.queue_age_us = metric.max_us;
                }
            }
        }
        self.log();
        self.publish();
        self.frames = 0;
        self.since_ns = now;
    }

    fn publish(&mut self) {
        let all = MetricId::ALL.into_iter().zip(self.latencies.iter());
        let all = all.map(|(id, latency)| (id, &latency.all));
        self.stats.encode_into(&self.words, all, &mut self.bytes);
        if let Err(e) = self.publisher.publish(&[&self.bytes], |_| ()) {
            tracing::warn!("stats not published: {e}");
        }
    }

    fn log(&mut self) {
        self.line.clear();
        let _ = write!(self.line, "{:.1} fps", self.stats.fps());
        for m in self.stats.metrics.iter().filter(|m| m.count > 0) {
            let (p50, p99) = (f64::from(m.p50_us) / 1e3, f64::from(m.p99_us) / 1e3);
            let _ = write!(
                self.line,
                "  {} {p50:.2}/{p99:.2}",
                MetricId::from_u16(m.id).name()
            );
        }
        self.line.push_str(" ms p50/p99");
        line::log(&self.stats, &self.line);
        self.manager.status(&self.line);
    }
}

fn summary(id: MetricId, h: &Histogram, max_ns: u64) -> Metric {
    let max = max_ns / 1000;
    // No quantile is above the largest, though its bucket reaches further.
    let q = |q| {
        h.quantile(q)
            .map_or(0, |us| (us.round() as u64).min(max) as u32)
    };
    Metric {
        id: id as u16,
        reserved: 0,
        count: h.count() as u32,
        p50_us: q(0.50),
        p90_us: q(0.90),
        p99_us: q(0.99),
        max_us: u32::try_from(max).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::StageName;
    use hanja_ring::Sample;
    use std::time::Duration;

    /// Each record tells of its second, and of everything; two records tell of what was between them.
    #[test]
    fn seconds_add_up_to_a_life() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::start(StageName::Infer, dir.path()).unwrap();
        let mut reporter = Reporter::new(&stage, "a model").unwrap();
        let mut tap = Topic::Stats.tap(dir.path(), StageName::Infer);
        let mut seen = Vec::new();
        let mut sample = Sample::default();
        for (n, ms) in [(3, 10u64), (0, 0), (5, 40)] {
            for _ in 0..n {
                reporter.record(MetricId::Queue, 1, 1 + ms * 1_000_000);
            }
            reporter.finish();
            assert!(tap.next(&mut sample, Duration::from_secs(2)));
            let stats = StageStats::from_bytes(&sample.payload).unwrap();
            seen.push((stats, stats.histograms_in(&sample.payload)));
        }
        let counts = seen
            .iter()
            .map(|(s, _)| s.metric(MetricId::Queue).map(|m| m.count));
        assert_eq!(counts.collect::<Vec<_>>(), [Some(3), None, Some(5)]);
        let ages = seen.iter().map(|(s, _)| s.queue_age_us);
        assert_eq!(ages.collect::<Vec<_>>(), [10_000, 0, 40_000]);
        let whole = seen[2].1.get(MetricId::Queue).unwrap();
        assert_eq!((whole.count(), whole.sum_ns()), (8, 230_000_000));
        let last = seen[2].1.since(&seen[1].1);
        let last = last.get(MetricId::Queue).unwrap();
        assert_eq!((last.count(), last.sum_ns()), (5, 200_000_000));
    }

    #[test]
    fn a_second_is_summed_up() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::start(StageName::Infer, dir.path()).unwrap();
        let mut reporter = Reporter::new(&stage, "a model").unwrap();
        for ms in 1..=100u64 {
            reporter.record(MetricId::Inference, 1, 1 + ms * 1_000_000);
            reporter.frame(ms);
        }
        reporter.record(MetricId::Queue, 0, 5); // unset start: left out
        reporter.set_words("rten; not tensorrt: 없음");
        reporter.finish();
        let mut tap = Topic::Stats.tap(dir.path(), StageName::Infer);
        let mut sample = Sample::default();
        assert!(tap.next(&mut sample, Duration::from_secs(2)));
        let stats = StageStats::from_bytes(&sample.payload).unwrap();
        let m = stats.metric(MetricId::Inference).unwrap();
        assert_eq!(m.count, 100);
        assert!((47_000..=53_000).contains(&m.p50_us), "{m:?}");
        assert!((96_000..=100_000).contains(&m.p99_us), "{m:?}");
        assert_eq!(m.max_us, 100_000);
        assert!(stats.metric(MetricId::Queue).is_none());
        assert_eq!((stats.frames_total, stats.newest_ns), (100, 100));
        assert_eq!(stats.what(), "a model");
        assert_eq!(stats.words_in(&sample.payload), "rten; not tensorrt: 없음");
        assert!(stats.rss_kib > 0 && stats.cpu_us > 0);
        assert!(stats.rss_peak_kib >= stats.rss_kib && stats.cpu_system_us <= stats.cpu_us);
        // The first report may be earlier than the control thread's next look.
        assert!(stats.readers <= 1 && stats.leases == 0 && stats.taps == stats.readers);
        let all = stats.histograms_in(&sample.payload);
        assert_eq!(all.get(MetricId::Inference).unwrap().count(), 100);
    }
}
