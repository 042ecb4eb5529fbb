//! What a stage counts, and sums and differences of it. Numbers of another process: everything saturates.

use hanja_record::StageStats;

/// One thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    /// Frames published (capture), looked at (infer), records handled (render).
    Frames,
    /// Lost in the driver.
    Lost,
    /// Dropped because every slot was leased.
    RingFull,
    /// Passed over for a newer one.
    Busy,
    /// Could not be decoded.
    Undecodable,
    /// Without signal.
    NoSignal,
    /// Overwritten before render read them.
    Missed,
}

const COUNTS: usize = 7;

/// All of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; COUNTS]);

impl Counts {
    pub(crate) fn of(s: &StageStats) -> Self {
        Self([
            s.frames_total,
            s.lost_total,
            s.dropped_total,
            s.skipped_busy_total,
            s.skipped_undecodable_total,
            s.skipped_no_signal_total,
            s.missed_total,
        ])
    }

    pub(crate) fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// What came since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut all = *self;
        for (n, before) in all.0.iter_mut().zip(earlier.0) {
            *n = n.saturating_sub(before);
        }
        all
    }

    pub(crate) fn add(&mut self, more: &Self) {
        for (n, more) in self.0.iter_mut().zip(more.0) {
            *n = n.saturating_add(more);
        }
    }
}
