//! Latency histograms that can be added and subtracted: how often each latency was measured since a process started.
//!
//! The buckets are the same everywhere and for ever (they are part of the ABI): whole microseconds up to 8, then eight
//! to an octave up to 67 s. So the histograms of two stages, of two lives of one stage or of two machines are merged by
//! adding counts, and those of any span of time are the difference of two records. A bucket is at most an eighth of its
//! value wide; a quantile is in the right bucket always, and where latencies are spread evenly in it almost exact.

use crate::MetricId;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Buckets of every histogram.
pub const BUCKETS: usize = 192;
/// Sub-buckets of an octave, and the first value that is not a bucket of its own.
const SUB: u64 = 8;
/// Beyond the last bucket: 67 s. Longer ones are counted in the last bucket: a stopped process, not a slow one.
const LONGEST_US: u64 = 1 << 26;

/// The bucket of a latency in microseconds.
fn bucket_of(us: u64) -> usize {
    if us < SUB {
        return us as usize;
    }
    let us = us.min(LONGEST_US - 1);
    let octave = us.ilog2(); // 3 to 25
    let sub = us >> (octave - 3) & (SUB - 1);
    (u64::from(octave - 2) * SUB + sub) as usize
}

/// A latency histogram as it stands in a `stats` record, 784 bytes.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HistogramRecord {
    /// See [`MetricId`].
    pub id: u16,
    /// Zero.
    pub reserved: u16,
    /// Zero.
    pub reserved1: u32,
    /// All latencies added up, nanoseconds.
    pub sum_ns: u64,
    /// How many latencies were in each bucket since the process started. Stays at its largest value (4.5 years of 30 a
    /// second).
    pub counts: [u32; BUCKETS],
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<HistogramRecord>() == 784);
    assert!(offset_of!(HistogramRecord, sum_ns) == 8);
    assert!(offset_of!(HistogramRecord, counts) == 16);
};

/// How often each latency occurred. All numbers saturate: they may be another process's.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    sum_ns: u64,
    counts: [u64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            sum_ns: 0,
            counts: [0; BUCKETS],
        }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filled = self.counts.iter().enumerate().filter(|(_, n)| **n > 0);
        write!(f, "Histogram {{ sum_ns: {}, ", self.sum_ns)?;
        f.debug_map()
            .entries(filled.map(|(i, n)| (Self::begin_us(i), n)))
            .finish()?;
        f.write_str(" }")
    }
}

impl Histogram {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a bucket begins, microseconds; [`BUCKETS`] and more give the end of the last.
    #[must_use]
    pub fn begin_us(bucket: usize) -> u64 {
        let bucket = bucket.min(BUCKETS) as u64;
        let (octave, sub) = (bucket / SUB, bucket % SUB);
        match octave {
            0 => sub,
            _ => (SUB + sub) << (octave - 1),
        }
    }

    /// Counts one latency. Neither allocates nor fails.
    pub fn record_ns(&mut self, ns: u64) {
        self.sum_ns = self.sum_ns.saturating_add(ns);
        let count = &mut self.counts[bucket_of(ns / 1000)];
        *count = count.saturating_add(1);
    }

    /// Latencies counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// All latencies added up, nanoseconds; exact, whatever the buckets.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// All latencies added up, microseconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum_ns as f64 / 1e3
    }

    /// The latency in microseconds that a share `q` (0 to 1) of all does not exceed; `None` if there is nothing. In
    /// the bucket of the exact value, by position between its neighbours.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        // NaN becomes 0.
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total);
        let mut below = 0u64;
        for (i, n) in self.counts.iter().enumerate() {
            if below.saturating_add(*n) >= rank {
                let (from, to) = (Self::begin_us(i) as f64, Self::begin_us(i + 1) as f64);
                let place = ((rank - below) as f64 - 0.5) / *n as f64;
                return Some(from + (to - from) * place);
            }
            below = below.saturating_add(*n);
        }
        None // not reached: the ranks end with the total
    }

    /// What was counted after `earlier`, a state of the same histogram. Of another one, what is more in this.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut grown = self.clone();
        grown.sum_ns = self.sum_ns.saturating_sub(earlier.sum_ns);
        for (n, before) in grown.counts.iter_mut().zip(&earlier.counts) {
            *n = n.saturating_sub(*before);
        }
        grown
    }

    /// Adds what `other` counted: another stage's, or an earlier life's.
    pub fn merge(&mut self, other: &Self) {
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        for (n, more) in self.counts.iter_mut().zip(&other.counts) {
            *n = n.saturating_add(*more);
        }
    }

    /// Every bucket as (upper bound in microseconds, count), ascending, empty ones too. A latency that is exactly the
    /// upper bound belongs to the next. The last has no upper bound: [`f64::INFINITY`].
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.counts.iter().enumerate().map(|(i, n)| {
            let last = i + 1 == BUCKETS;
            let end = if last {
                f64::INFINITY
            } else {
                Self::begin_us(i + 1) as f64
            };
            (end, *n)
        })
    }

    /// For a record.
    #[must_use]
    pub fn to_record(&self, id: MetricId) -> HistogramRecord {
        let mut record = HistogramRecord::new_zeroed();
        record.id = id as u16;
        record.sum_ns = self.sum_ns;
        for (to, n) in record.counts.iter_mut().zip(&self.counts) {
            *to = u32::try_from(*n).unwrap_or(u32::MAX);
        }
        record
    }
}

impl From<&HistogramRecord> for Histogram {
    fn from(record: &HistogramRecord) -> Self {
        Self {
            sum_ns: record.sum_ns,
            counts: record.counts.map(u64::from),
        }
    }
}

/// The histograms of one record or several, by latency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histograms(Vec<(MetricId, Histogram)>);

impl Histograms {
    /// The histogram of one latency, if it was measured.
    #[must_use]
    pub fn get(&self, id: MetricId) -> Option<&Histogram> {
        self.0.iter().find(|(of, _)| *of == id).map(|(_, h)| h)
    }

    /// In the order of [`MetricId`].
    pub fn iter(&self) -> impl Iterator<Item = (MetricId, &Histogram)> {
        self.0.iter().map(|(id, h)| (*id, h))
    }

    /// Whether nothing was measured, or by a writer before version 1.2.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to the histogram of one latency.
    pub fn add(&mut self, id: MetricId, more: &Histogram) {
        match self
            .0
            .binary_search_by_key(&(id as u16), |(of, _)| *of as u16)
        {
            Ok(at) => self.0[at].1.merge(more),
            Err(at) => self.0.insert(at, (id, more.clone())),
        }
    }

    /// Adds what another stage, or an earlier life of this one, measured.
    pub fn merge(&mut self, other: &Self) {
        for (id, more) in other.iter() {
            self.add(id, more);
        }
    }

    /// What was measured between two records of one life of a stage (their
    /// [`started_ns`](crate::StageStats::started_ns) is the same).
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let grown = self.iter().map(|(id, h)| {
            let h = earlier
                .get(id)
                .map_or_else(|| h.clone(), |before| h.since(before));
            (id, h)
        });
        Self(grown.collect())
    }
}

#[cfg(test)]
mod tests;
