//! Looking at a pipeline from outside, by taps alone: whoever may tap may judge.

use super::{Liveness, Presence, Process, Snapshot, StageSnapshot, judge};
use hanja_record::{DetectionRecord, StageStats, Taps};
use hanja_ring::{Sample, now_ns};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at sockets that have not answered yet.
const PAUSE: Duration = Duration::from_millis(5);

impl Process {
    /// The process `pid`; `None` if there is none, or it is hidden from us.
    #[must_use]
    pub fn look(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &stat, now_ns())
    }

    /// From the text of `/proc/PID/stat`. The name in parentheses may hold anything, parentheses included.
    fn parse(pid: i32, stat: &str, now: u64) -> Option<Self> {
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let stopped = matches!(fields.next()?, "T" | "t");
        // Field 22, ticks since boot; this clock stands still while the machine sleeps, which makes a process younger.
        let ticks: u64 = fields.nth(18)?.parse().ok()?;
        let started = ticks.checked_mul(1_000_000_000 / rustix::param::clock_ticks_per_second())?;
        Some(Self {
            pid,
            age_ns: now.saturating_sub(started),
            stopped,
        })
    }
}

/// Taps on everything that [`judge()`] goes by.
#[derive(Debug)]
pub struct Observer {
    taps: Taps,
    sample: Sample,
    snapshot: Snapshot,
}

impl Observer {
    /// Attaches when first asked to look.
    #[must_use]
    pub fn new(runtime_dir: &Path) -> Self {
        Self {
            taps: Taps::new(runtime_dir),
            sample: Sample::default(),
            snapshot: Snapshot::default(),
        }
    }

    /// Looks for what is new, without waiting for it. A socket that has not answered yet is waited for, at most
    /// `patience` in all: give 300 ms at the first look, nothing later on.
    pub fn look(&mut self, patience: Duration) -> &Snapshot {
        let deadline = Instant::now() + patience;
        loop {
            self.poll();
            if !self.taps.unanswered() || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        self.snapshot
            .stages
            .iter_mut()
            .for_each(StageSnapshot::explain);
        &self.snapshot
    }

    /// Looks and judges.
    pub fn judge(&mut self, patience: Duration) -> Liveness {
        self.look(patience);
        judge(&self.snapshot, now_ns())
    }

    /// What was seen at the last look.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn poll(&mut self) {
        let sample = &mut self.sample;
        for (tap, stage) in self.taps.stats.iter_mut().zip(&mut self.snapshot.stages) {
            if tap.newest(sample, Duration::ZERO)
                && let Ok(stats) = StageStats::from_bytes(&sample.payload)
            {
                stage.stats = Some(stats);
                std::mem::swap(&mut stage.bytes, &mut sample.payload);
            }
            stage.meet(tap.presence(), now_ns());
        }
        if let Some(meta) = self.taps.newest_frame(sample) {
            self.snapshot.frame = Some(meta);
        }
        if self.taps.records.newest(sample, Duration::ZERO)
            && let Ok(record) = DetectionRecord::from_bytes(&sample.payload)
        {
            self.snapshot.record = Some(record.header);
        }
    }
}

impl StageSnapshot {
    /// Takes what is at the other end of the socket, as of `now` (CLOCK_MONOTONIC nanoseconds).
    pub fn meet(&mut self, presence: Presence, now: u64) {
        self.presence = presence;
        // The statistics of a life that has ended say nothing about the next one.
        if self.presence != Presence::Attached {
            self.stats = None;
        }
        self.silent_since = match self.presence {
            Presence::Silent { .. } => self.silent_since.or(Some(now)),
            _ => None,
        };
    }

    /// Looks at the process behind it: by its own word, else by the socket's.
    pub fn explain(&mut self) {
        let by_socket = match self.presence {
            Presence::Silent { pid } => pid.filter(|pid| *pid > 1), // 1: the service manager's socket
            _ => None,
        };
        let by_word = self.stats.and_then(|s| i32::try_from(s.pid).ok());
        self.process = by_word.or(by_socket).and_then(Process::look);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_age_and_whether_it_is_stopped() {
        let stat = "42 (a) T (b) T 1 42 42 0 -1 4194304 1 0 0 0 1 1 0 0 20 0 1 0 500 1 2";
        let p = Process::parse(42, stat, 7_000_000_000).unwrap();
        assert!(p.stopped);
        assert_eq!(p.age_ns, 2_000_000_000);
        for bad in [
            "",
            "42",
            "42 (x)",
            "42 (x) S 1 2",
            "42 (x) S 1 42 42 0 -1 4 1 0 0 0 1 1 0 0 20 0 1 0 no",
        ] {
            assert_eq!(Process::parse(42, bad, 7), None, "{bad}");
        }
        let own = Process::look(std::process::id().try_into().unwrap()).unwrap();
        assert!(!own.stopped && own.age_ns < 3_600_000_000_000);
        assert_eq!(Process::look(i32::MAX), None);
    }

    #[test]
    fn an_empty_directory_is_judged_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let judged = Observer::new(dir.path()).judge(Duration::from_secs(5));
        assert_eq!(judged.overall.state, crate::liveness::State::NotRunning);
        assert!(begin.elapsed() < Duration::from_secs(4));
    }
}
