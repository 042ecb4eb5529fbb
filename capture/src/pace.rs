//! Paces sources that have no rate of their own.

use hanja_ring::now_ns;
use std::time::Duration;

/// A schedule of frames: one late frame does not shift those after it.
#[derive(Debug)]
pub(crate) struct Pace {
    period_ns: u64,
    due_ns: u64,
}

impl Pace {
    /// A schedule at `fps` frames per second that begins with the first call of [`next_due`](Self::next_due).
    pub(crate) fn new(fps: f64) -> Self {
        Self {
            period_ns: ((1e9 / fps) as u64).max(1),
            due_ns: 0,
        }
    }

    /// Leaves out so many frames: the next one is due as much later.
    pub(crate) fn pass_over(&mut self, frames: u32) {
        if self.due_ns > 0 {
            self.due_ns += u64::from(frames) * self.period_ns;
        }
    }

    /// Waits until the next frame is due, at most `wait`. Returns when it was due, in nanoseconds of CLOCK_MONOTONIC; none
    /// if it is not due yet.
    pub(crate) fn next_due(&mut self, wait: Duration) -> Option<u64> {
        let now = now_ns();
        if self.due_ns == 0 {
            self.due_ns = now;
        }
        // More than a frame behind: the schedule begins anew, without a burst to catch up.
        if now > self.due_ns + self.period_ns {
            self.due_ns = now;
        }
        let left = self.due_ns.saturating_sub(now);
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        std::thread::sleep(Duration::from_nanos(left.min(wait)));
        if left > wait {
            return None;
        }
        let due = self.due_ns;
        self.due_ns += self.period_ns;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_does_not_drift() {
        let mut pace = Pace::new(200.0);
        let first = pace.next_due(Duration::from_secs(1)).unwrap();
        let mut last = first;
        for _ in 0..20 {
            last = pace.next_due(Duration::from_secs(1)).unwrap();
        }
        let span = last - first;
        assert!(
            span.is_multiple_of(5_000_000) || span > 100_000_000,
            "{span}"
        );
        assert!(span >= 100_000_000);
    }

    #[test]
    fn waits_are_cut_short() {
        let mut pace = Pace::new(0.1);
        assert!(pace.next_due(Duration::from_millis(1)).is_some());
        assert!(pace.next_due(Duration::from_millis(5)).is_none());
    }
}
