//! What a stage says about itself: a log line and a [`StageStats`] record once a second.

use crate::clock::now_ns;
use crate::control::ControlServer;
use crate::record::{Metric, MetricId, StageStats};
use crate::ring::{Geometry, RingError, Topic};
use crate::stage::{Publisher, Stage};
use hdrhistogram::Histogram;
use std::fmt::Write as _;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use zerocopy::IntoBytes;

const SECOND: u64 = 1_000_000_000;
/// Latencies above a minute are clamped: a stopped process, not a slow one.
const LONGEST_US: u64 = 60_000_000;
/// Log target of the once-a-second lines, so that a filter can silence just them.
pub const FPS_TARGET: &str = "hanja_fps";

/// Starts logging to standard error. `filter` is a tracing filter such as `info,hanja_infer=debug`; default `info`.
///
/// # Errors
/// The filter in words, if it cannot be parsed.
pub fn init_logging(filter: Option<&str>) -> Result<(), String> {
    let text = filter.unwrap_or("info");
    let filter = EnvFilter::try_new(text).map_err(|e| {
        format!("--log {text}: {e}; use for example info or debug or hanja_infer=debug")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    // The journal and `hanja run` put the time in front of every line themselves.
    let timed = std::env::var_os("JOURNAL_STREAM").is_none()
        && std::env::var_os("HANJA_SUPERVISED").is_none();
    if timed {
        builder.init()
    } else {
        builder.without_time().init()
    }
    Ok(())
}

/// Collects a second of a stage's life and publishes it on the stage's `stats` topic. No allocation after `new`.
#[derive(Debug)]
pub struct Reporter {
    publisher: Publisher,
    control: Arc<ControlServer>,
    stats: StageStats,
    words: String,
    histograms: Vec<(MetricId, Histogram<u32>)>,
    frames: u64,
    since_ns: u64,
    line: String,
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
        let control = stage.control();
        Ok(Self {
            publisher,
            control,
            stats,
            words: String::new(),
            histograms: Vec::new(),
            frames: 0,
            since_ns,
            line: String::new(),
        })
    }

    /// One latency. Spans with an unset or later start are left out.
    pub fn record(&mut self, id: MetricId, from_ns: u64, to_ns: u64) {
        if from_ns == 0 || to_ns < from_ns {
            return;
        }
        let us = ((to_ns - from_ns) / 1000).min(LONGEST_US);
        let index = self
            .histograms
            .iter()
            .position(|(other, _)| *other == id)
            .or_else(|| self.add(id));
        if let Some(index) = index {
            self.histograms[index].1.saturating_record(us);
        }
    }

    fn add(&mut self, id: MetricId) -> Option<usize> {
        if self.histograms.len() == self.stats.metrics.len() {
            return None;
        }
        // Two significant digits: 1 % of the value, 25 KB.
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 2).ok()?;
        self.histograms.push((id, histogram));
        Some(self.histograms.len() - 1)
    }

    /// One frame handled, which left the sensor at `sensor_ns` (0: unknown).
    pub fn frame(&mut self, sensor_ns: u64) {
        self.frames += 1;
        self.stats.frames_total += 1;
        self.stats.newest_ns = self.stats.newest_ns.max(sensor_ns);
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
        if now_ns().saturating_sub(self.since_ns) >= SECOND {
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
        self.stats.t_ns = now;
        self.stats.fps_milli =
            (u128::from(self.frames) * 1_000_000_000_000 / u128::from(span)) as u32;
        self.stats.rss_kib = resident_kib().unwrap_or(0);
        self.stats.cpu_us = cpu_us();
        self.stats.readers = self.control.readers();
        self.stats.metrics = Default::default();
        for (metric, (id, histogram)) in self.stats.metrics.iter_mut().zip(&mut self.histograms) {
            *metric = summary(*id, histogram);
            histogram.reset();
        }
        self.log();
        let stats = self.stats;
        let parts = [stats.as_bytes(), self.words.as_bytes()];
        if let Err(e) = self.publisher.publish(&parts, |_| ()) {
            tracing::warn!("stats not published: {e}");
        }
        self.frames = 0;
        self.since_ns = now;
    }

    fn log(&mut self) {
        self.line.clear();
        let _ = write!(self.line, "fps {:.1}", self.stats.fps());
        for m in self.stats.metrics.iter().filter(|m| m.count > 0) {
            let (p50, p99) = (f64::from(m.p50_us) / 1e3, f64::from(m.p99_us) / 1e3);
            let _ = write!(
                self.line,
                "  {} {p50:.2}/{p99:.2}",
                MetricId::from_u16(m.id).name()
            );
        }
        tracing::info!(target: FPS_TARGET, "{} ms p50/p99", self.line);
    }
}

fn summary(id: MetricId, h: &Histogram<u32>) -> Metric {
    let q = |q| h.value_at_quantile(q) as u32; // at most LONGEST_US
    Metric {
        id: id as u16,
        reserved: 0,
        count: h.len() as u32,
        p50_us: q(0.50),
        p90_us: q(0.90),
        p99_us: q(0.99),
        max_us: h.max() as u32,
    }
}

/// CPU time of this process, all threads.
fn cpu_us() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec.unsigned_abs() * 1_000_000 + t.tv_nsec.unsigned_abs() / 1000
}

/// Resident memory of this process.
fn resident_kib() -> Option<u32> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    u32::try_from(pages * rustix::param::page_size() as u64 / 1024).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Sample;
    use crate::stage::StageName;
    use crate::subscribe::TapSubscriber;
    use std::time::Duration;

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
        let mut tap = TapSubscriber::new(dir.path(), StageName::Infer, Topic::Stats);
        let mut sample = Sample::default();
        assert!(tap.next(&mut sample, Duration::from_secs(2)));
        let stats = StageStats::from_bytes(&sample.payload).unwrap();
        let m = stats.metric(MetricId::Inference).unwrap();
        assert_eq!(m.count, 100);
        assert!((49_000..=51_500).contains(&m.p50_us), "{m:?}");
        assert!((98_000..=100_500).contains(&m.p99_us), "{m:?}");
        assert!(stats.metric(MetricId::Queue).is_none());
        assert_eq!((stats.frames_total, stats.newest_ns), (100, 100));
        assert_eq!(stats.what(), "a model");
        assert_eq!(stats.words_in(&sample.payload), "rten; not tensorrt: 없음");
        assert!(stats.rss_kib > 0 && stats.cpu_us > 0);
    }
}
