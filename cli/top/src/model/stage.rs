//! What is known of one stage: its statistics of the last minutes, whichever lives they came from.

use super::count::{Count, Counts};
use super::{SECOND, clean};
use hanja_record::{Histogram, Histograms, Metric, MetricId, StageName, StageStats};
use std::collections::VecDeque;

/// Seconds that are remembered.
pub(crate) const REMEMBERED: usize = 300;
/// Latencies are those of this time.
const MINUTE: u64 = 60 * SECOND;
/// Rates are means over this.
const RATE_SPAN: u64 = 5 * SECOND;
/// A stage whose last record is older than this does not speak now.
const SILENCE: u64 = 3 * SECOND;
/// A record covers the time since the one before, unless that is longer ago: then the stage was stopped or away.
const LONGEST_SPAN: u64 = 3 * SECOND / 2;

/// One record and the time it covers.
#[derive(Clone, Debug)]
pub(crate) struct Second {
    pub(crate) stats: StageStats,
    /// Nanoseconds before its time.
    span: u64,
    /// Cores kept busy; `None` where the record before is of another life.
    pub(crate) cores: Option<f64>,
    /// The latencies since the record before; empty where that is not known.
    measured: Histograms,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) name: StageName,
    /// Oldest first.
    seconds: VecDeque<Second>,
    /// Those of the newest record: of its whole life.
    histograms: Histograms,
    /// Behind the newest record: the backend and why no better one.
    pub(crate) description: String,
    /// Source, model or address.
    pub(crate) what: String,
    /// Counted since [`since_ns`](Self::since_ns), over all lives seen.
    pub(crate) totals: Counts,
    /// When the totals began.
    pub(crate) since_ns: u64,
    /// New processes seen since the totals began.
    pub(crate) restarts: u32,
    /// When the last one was first heard of.
    pub(crate) restarted_ns: Option<u64>,
    /// The last record could not be read, and why.
    pub(crate) unreadable: Option<String>,
    /// How many of its readers are this program's taps: before a time, from it on.
    own: (u32, u32, u64),
}

impl Stage {
    pub(crate) fn new(name: StageName, now: u64) -> Self {
        Self {
            name,
            seconds: VecDeque::with_capacity(REMEMBERED),
            histograms: Histograms::default(),
            description: String::new(),
            what: String::new(),
            totals: Counts::default(),
            since_ns: now,
            restarts: 0,
            restarted_ns: None,
            unreadable: None,
            own: (0, 0, 0),
        }
    }

    /// So many of the stage's readers are this program's taps.
    pub(crate) fn set_own(&mut self, taps: u32, now: u64) {
        if taps != self.own.1 {
            self.own = (self.own.1, taps, now);
        }
    }

    /// Who else reads: stages that lease, and taps. Before version 1.2 all count as taps.
    pub(crate) fn readers(&self) -> Option<(u32, u32)> {
        let stats = self.newest()?;
        let own = if stats.t_ns < self.own.2 {
            self.own.0
        } else {
            self.own.1
        };
        let leases = stats.leases.min(stats.readers);
        Some((leases, (stats.readers - leases).saturating_sub(own)))
    }

    /// Takes the bytes of a statistics record, and gives the record if they are one.
    pub(crate) fn take(&mut self, bytes: &[u8], now: u64) -> Option<StageStats> {
        match StageStats::from_bytes(bytes) {
            Ok(stats) => {
                self.unreadable = None;
                self.description = clean(&stats.words_in(bytes));
                self.what = clean(&stats.what());
                self.add(stats, stats.histograms_in(bytes), now);
                Some(stats)
            }
            Err(e) => {
                self.unreadable = Some(clean(&e.to_string()));
                None
            }
        }
    }

    fn add(&mut self, stats: StageStats, histograms: Histograms, now: u64) {
        let counts = Counts::of(&stats);
        let mut measured = Histograms::default();
        let life = |s: &StageStats| (s.pid, s.started_ns);
        let (mut span, mut cores) = (SECOND, None);
        match self.newest() {
            None => {
                self.totals = counts;
                self.since_ns = stats.started_ns.min(now);
            }
            Some(before) if life(before) == life(&stats) => {
                let ns = stats.t_ns.saturating_sub(before.t_ns);
                let cpu = stats.cpu_us.saturating_sub(before.cpu_us);
                cores = (ns > 0).then(|| cpu as f64 * 1e3 / ns as f64);
                span = ns.min(LONGEST_SPAN);
                let grown = counts.since(&Counts::of(before));
                self.totals.add(&grown);
                measured = histograms.since(&self.histograms);
            }
            Some(_) => {
                measured = histograms.clone();
                self.totals.add(&counts);
                self.restarts = self.restarts.saturating_add(1);
                self.restarted_ns = Some(now);
            }
        }
        if self.seconds.len() == REMEMBERED {
            self.seconds.pop_front();
        }
        self.histograms = histograms;
        self.seconds.push_back(Second {
            stats,
            span,
            cores,
            measured,
        });
    }

    /// Counts from now on.
    pub(crate) fn reset(&mut self, now: u64) {
        self.totals = Counts::default();
        self.since_ns = now;
        (self.restarts, self.restarted_ns) = (0, None);
        let keep = self.seconds.len().saturating_sub(1);
        self.seconds.drain(..keep);
    }

    /// The newest record.
    pub(crate) fn newest(&self) -> Option<&StageStats> {
        self.seconds.back().map(|s| &s.stats)
    }

    /// Records remembered.
    pub(crate) fn heard(&self) -> usize {
        self.seconds.len()
    }

    /// The newest second, if it is not long ago.
    pub(crate) fn current(&self, now: u64) -> Option<&Second> {
        let newest = self.seconds.back()?;
        (now.saturating_sub(newest.stats.t_ns) < SILENCE).then_some(newest)
    }

    /// How many a second, over the last few seconds of the present life; `None` while there is but one record, and
    /// when the stage is silent.
    pub(crate) fn rate(&self, count: Count, now: u64) -> Option<f64> {
        let newest = &self.current(now)?.stats;
        let same = |s: &&Second| {
            (s.stats.pid, s.stats.started_ns) == (newest.pid, newest.started_ns)
                && s.stats.t_ns < newest.t_ns
                && newest.t_ns - s.stats.t_ns <= RATE_SPAN + SECOND / 2
        };
        let oldest = &self.seconds.iter().find(same)?.stats;
        let n = Counts::of(newest).since(&Counts::of(oldest)).get(count);
        Some(n as f64 * 1e9 / (newest.t_ns - oldest.t_ns) as f64)
    }

    /// The last `cells * seconds` seconds, oldest first: in each cell the least (or greatest) value of its seconds, or
    /// nothing where there is no record.
    pub(crate) fn cells(
        &self,
        now: u64,
        cells: usize,
        seconds: u64,
        pick: fn(f64, f64) -> f64,
        value: impl Fn(&Second) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        // Whole seconds since boot, so that nothing moves between two; the last is over and has its record.
        let end = now.saturating_sub(3 * SECOND / 2) / SECOND / seconds * seconds + seconds;
        let mut out = vec![None; cells];
        for (i, out) in out.iter_mut().enumerate() {
            let back = (cells - i) as u64 * seconds;
            let Some(begin) = end.checked_sub(back) else {
                continue; // before boot
            };
            let middles = (begin..begin + seconds)
                .map(|s| s.saturating_mul(SECOND).saturating_add(SECOND / 2));
            let values = middles.filter_map(|middle| value(self.covering(middle)?));
            *out = values.filter(|v| v.is_finite()).reduce(pick);
        }
        out
    }

    fn covering(&self, ns: u64) -> Option<&Second> {
        let covers = |s: &&Second| {
            let t = s.stats.t_ns;
            t.saturating_sub(s.span) <= ns && ns < t
        };
        self.seconds.iter().rev().find(covers)
    }

    /// How long a step took over the last minute. A stage before version 1.2 tells of its last second only, as does
    /// any in its first record.
    pub(crate) fn latency(&self, id: MetricId, now: u64) -> Option<Latency> {
        let recent = |s: &&Second| now.saturating_sub(s.stats.t_ns) < MINUTE;
        let mut all = Histogram::new();
        let mut longest = 0;
        for second in self.seconds.iter().rev().take_while(recent) {
            if let Some(h) = second.measured.get(id) {
                all.merge(h);
                let last = second.stats.metric(id);
                longest = longest.max(last.map_or(0, |m| m.max_us));
            }
        }
        let ms = |q| all.quantile(q).map(|us| us / 1e3);
        if let (Some(p50), Some(p90), Some(p99)) = (ms(0.5), ms(0.9), ms(0.99)) {
            let max = f64::from(longest) / 1e3;
            let count = all.count();
            return Some(Latency {
                count,
                p50,
                p90,
                p99,
                max: max.max(p99),
            });
        }
        let m = self.seconds.back().filter(recent)?.stats.metric(id);
        m.filter(|m| m.count > 0).map(Latency::of)
    }
}

/// How long a step takes, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    fn of(m: &Metric) -> Self {
        let ms = |us: u32| f64::from(us) / 1e3;
        Self {
            count: m.count.into(),
            p50: ms(m.p50_us),
            p90: ms(m.p90_us),
            p99: ms(m.p99_us),
            max: ms(m.max_us),
        }
    }
}
