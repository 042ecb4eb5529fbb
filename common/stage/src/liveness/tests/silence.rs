//! A source that falls silent, and goes on: who is blamed, and when.

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

/// A pipeline whose source pauses, played through rather than run.
#[derive(Clone, Copy, Debug)]
struct Play {
    /// Between two frames.
    interval: u64,
    /// Frames before the pause.
    frames: u64,
    /// Of the source.
    pause: u64,
    /// From a frame to its record. Infer takes one frame at a time, the newest.
    work: u64,
    /// At which part of a second capture, infer and render report.
    phases: [u64; 3],
    /// Infer takes nothing from here on.
    stops: u64,
}

impl Play {
    const BEGIN: u64 = 100 * S;

    /// When frame `seq`, from 1, is published.
    fn published(&self, seq: u64) -> u64 {
        let pause = if seq > self.frames { self.pause } else { 0 };
        Self::BEGIN + seq * self.interval + pause
    }

    /// The newest frame at `now`; 0: none yet.
    fn frame(&self, now: u64) -> u64 {
        let passed = |pause| now.saturating_sub(Self::BEGIN + pause) / self.interval;
        passed(0).min(self.frames).max(passed(self.pause))
    }

    /// Number of the newest frame with a record at `now`, when that record was published, how many there were before.
    fn record(&self, now: u64) -> (u64, u64, u64) {
        let (mut seq, mut free, mut records) = (0, 0, 0);
        loop {
            let next = self.frame(free).max(seq + 1);
            let begin = free.max(self.published(next));
            if begin + self.work > now || begin >= self.stops {
                return (seq, free, records);
            }
            (seq, free, records) = (next, begin + self.work, records + 1);
        }
    }

    /// What a look at `now` sees.
    fn snapshot(&self, now: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (n, stage) in snapshot.stages.iter_mut().enumerate() {
            let t_ns = (now - self.phases[n]) / S * S + self.phases[n];
            let before = t_ns.saturating_sub(S);
            let (seq, total, last) = if n == 0 {
                let seq = self.frame(t_ns);
                (seq, seq, seq - self.frame(before))
            } else {
                let (seq, _, total) = self.record(t_ns);
                (seq, total, total - self.record(before).2)
            };
            stage.presence = Presence::Attached;
            stage.stats = Some(StageStats {
                t_ns,
                started_ns: Self::BEGIN,
                newest_ns: if seq == 0 {
                    0
                } else {
                    self.published(seq) - MS
                },
                frames_total: total,
                fps_milli: (last * 1000) as u32,
                ..StageStats::new(n as u16 + 1)
            });
        }
        let seq = self.frame(now);
        snapshot.frame = (seq > 0).then(|| FrameMeta {
            seq,
            ..frame(self.published(seq))
        });
        let (seq, at, _) = self.record(now);
        snapshot.record = (seq > 0).then(|| {
            let mut header = record(self.published(seq));
            header.frame_seq = seq;
            header.times.sensor = self.published(seq) - MS;
            header.times.detections_published = at;
            header
        });
        snapshot
    }

    fn judge(&self, now: u64) -> Liveness {
        judge(&self.snapshot(now), now)
    }

    /// When the pause begins: its last frame.
    fn silent_from(&self) -> u64 {
        self.published(self.frames)
    }
}

fn any_play() -> impl Strategy<Value = Play> {
    let phase = || 0..S;
    (
        10 * MS..5 * S,
        2u64..60,
        10 * MS..60 * S,
        MS..S,
        [phase(), phase(), phase()],
    )
        .prop_map(|(interval, frames, pause, work, phases)| Play {
            interval,
            frames,
            pause,
            work: work.min(interval * 3),
            phases,
            stops: u64::MAX,
        })
}

proptest! {
    /// Through the last frames, the pause and the seconds after it: a well infer is never the one who is blamed.
    #[test]
    fn a_silent_source_is_not_infers_fault(play in any_play()) {
        let from = play.published(1) + play.work;
        for now in (from..play.silent_from() + play.pause + 4 * S).step_by(57 * MS as usize) {
            let l = play.judge(now);
            let state = l.stages.infer.state;
            prop_assert!(matches!(state, State::Live | State::Waiting), "{} ms: {l:?}", (now - from) / MS);
        }
    }

    /// Whatever the ages are: an infer whose loop turns is called stale only for a frame that it has not handled.
    #[test]
    fn infer_is_blamed_for_frames_that_are_there(
        ages in [0..200 * S, 0..200 * S, 0..200 * S, 0..200 * S],
        (frame_seq, record_seq) in (1u64..50, 1u64..50),
        rates in [0u32..120_000, 0u32..120_000],
    ) {
        let mut snapshot = healthy();
        for (stage, (rate, age)) in snapshot.stages.iter_mut().zip(rates.into_iter().zip(ages)) {
            let s = stage.stats.as_mut().unwrap();
            (s.fps_milli, s.newest_ns) = (rate, NOW - age);
        }
        snapshot.frame = Some(FrameMeta { seq: frame_seq, ..frame(NOW - ages[2]) });
        let mut header = record(NOW - ages[3]);
        header.frame_seq = record_seq;
        snapshot.record = Some(header);
        let l = judge(&snapshot, NOW);
        let behind = frame_seq > record_seq;
        prop_assert!(behind || l.stages.infer.state != State::Stale, "{l:?}");
        // And never while capture is to blame.
        prop_assert!(l.stages.capture.state != State::Stale || l.stages.infer.state != State::Stale, "{l:?}");
    }

    /// The judgement is not bought by looking away: an infer that takes nothing is stale in time.
    #[test]
    fn an_infer_that_takes_nothing_is_found_out(play in any_play(), taken in 10u64..50) {
        let mut play = play;
        play.frames = u64::MAX / S;
        play.interval = play.interval.min(2 * S);
        play.work = play.work.min(play.interval);
        play.stops = play.published(taken) + play.interval;
        // Rates are known roughly: by the frames of one second, or as the mean of a life.
        let late = play.stops + 10 * S + 8 * play.interval;
        let l = play.judge(late);
        prop_assert_eq!(l.stages.infer.state, State::Stale, "{:?}", l);
        prop_assert!(l.overall.message.starts_with("infer has published nothing for "), "{}", l.overall.message);
    }
}

/// As it was met: capture's last second was slow, so it is allowed more than infer.
#[test]
fn infer_is_not_blamed_before_its_source() {
    let mut snapshot = healthy();
    snapshot.stages[0].stats.as_mut().unwrap().fps_milli = 8_000;
    snapshot.stages[1].stats.as_mut().unwrap().fps_milli = 15_000;
    let last = NOW - 2172 * MS;
    snapshot.frame = Some(frame(last));
    let mut header = record(last);
    header.times.detections_published = NOW - 2166 * MS;
    snapshot.record = Some(header);
    let l = judge(&snapshot, NOW);
    assert_eq!(states(&l), [State::Live; 4], "{l:?}");
    let l = after(&snapshot, 100 * MS);
    assert_eq!(
        states(&l),
        [State::Stale, State::Stale, State::Waiting, State::Waiting]
    );
}

/// Infer's own work is measured from the first frame after the pause.
#[test]
fn the_first_frame_after_a_pause_is_given_its_time() {
    let mut snapshot = healthy();
    for stage in &mut snapshot.stages {
        let s = stage.stats.as_mut().unwrap();
        (s.fps_milli, s.newest_ns) = (0, NOW - 40 * S);
    }
    snapshot.record = Some(record(NOW - 40 * S));
    let seq = frame(NOW - 40 * S).seq;
    let fresh = FrameMeta {
        seq: seq + 1,
        ..frame(NOW)
    };
    snapshot.frame = Some(fresh);
    assert_eq!(states(&after(&snapshot, S))[2], State::Live);
    // A restart of capture in between says nothing else.
    snapshot.frame = Some(FrameMeta {
        generation: 1,
        seq: 1,
        ..fresh
    });
    assert_eq!(states(&after(&snapshot, S))[2], State::Live);
}
