//! The judgement itself: a pure function of what was seen and when.

use super::{
    FRESH, Health, Liveness, Notice, SILENT, SLOWEST, STANDS, START, Snapshot, StageSnapshot,
    Stages, State,
};
use hanja_record::{FrameFlags, FrameMeta, StageStats, Status};
use hanja_ring::Presence;
use std::cmp::Ordering;
use std::time::Duration;

/// Judges what was seen as of `now` (CLOCK_MONOTONIC nanoseconds).
#[must_use]
pub fn judge(snapshot: &Snapshot, now: u64) -> Liveness {
    let of = |stage: usize| Of {
        snapshot,
        stage: &snapshot.stages[stage],
        name: ["capture", "infer", "render"][stage],
        now,
    };
    let capture = of(0).capture();
    let infer = of(1).infer(capture.state);
    let render = of(2).render(infer.state);
    let stages = Stages {
        capture,
        infer,
        render,
    };
    let overall = overall(&stages);
    Liveness {
        ok: overall.state.ok(),
        overall,
        notices: notices(snapshot, &stages),
        stages,
    }
}

/// The worst stage speaks for the whole; of two equally bad ones the first, since the other suffers from it.
fn overall(stages: &Stages) -> Health {
    let all = stages.named().map(|(_, health)| health);
    if all.iter().all(|j| j.state == State::NotRunning) {
        return Health {
            state: State::NotRunning,
            age_ms: None,
            allowed_ms: stages.infer.allowed_ms,
            message: "no pipeline runs here".into(),
            remedy: "start it with: systemctl start hanja-pipeline, or: hanja run".into(),
        };
    }
    let worst = all.into_iter().rev().max_by_key(|j| j.state);
    let mut overall = worst.cloned().unwrap_or_default();
    if overall.state == State::Live {
        // What people see is what came through infer.
        overall.age_ms = stages.infer.age_ms;
        overall.allowed_ms = stages.infer.allowed_ms;
        overall.message = "live".into();
    }
    overall
}

/// One stage under judgement.
struct Of<'a> {
    snapshot: &'a Snapshot,
    stage: &'a StageSnapshot,
    name: &'static str,
    now: u64,
}

impl Of<'_> {
    fn capture(&self) -> Health {
        let frame = self.snapshot.frame.as_ref();
        // A record tells of its frame, also to who could not attach to capture.
        let from_record = self.snapshot.record.map_or(0, |r| r.times.published);
        let newest = frame.map_or(0, |f| f.t_published).max(from_record);
        if let Some(health) = self.overdue(newest, "frames") {
            return health;
        }
        let no_signal = match (frame, &self.snapshot.record) {
            (Some(frame), _) => frame.has(FrameFlags::NO_SIGNAL),
            (None, record) => record.is_some_and(|r| r.status == Status::NoSignal as u16),
        };
        if no_signal {
            return self.say(
                State::NoSignal,
                self.age(newest),
                "the source has no picture: the camera is unplugged, or has no input".into(),
                "plug it in; capture looks for it and goes on by itself",
            );
        }
        frame.map_or_else(
            || self.live(self.snapshot.record.map_or(0, |r| r.times.sensor)),
            |frame| self.picture(frame),
        )
    }

    /// Frames come and claim to be pictures: whether they are new ones.
    fn picture(&self, frame: &FrameMeta) -> Health {
        let number = stands(frame, frame.t_new_number).is_some();
        let time = stands(frame, frame.t_new_time);
        let picture = stands(frame, frame.t_new_picture);
        match (picture, time) {
            // Equal bytes alone prove nothing, see `still_picture`.
            (Some(_), _) if number || time.is_some() => self.say(
                State::Repeating,
                self.age(frame.t_new_picture),
                format!(
                    "the source delivers the same frame again, for {}",
                    seconds(self.age(frame.t_new_picture))
                ),
                "take the camera out and in again, or restart capture; try another port or cable",
            ),
            (None, Some(_)) => self.say(
                State::ClockFrozen,
                self.age(frame.t_new_time),
                format!(
                    "the source's time stamps stand still, for {}: how old its pictures are is not known",
                    seconds(self.age(frame.t_new_time))
                ),
                "take the camera out and in again; if it stays so, its driver stamps frames wrongly: see dmesg",
            ),
            _ => self.live(frame.t_sensor),
        }
    }

    fn infer(&self, capture: State) -> Health {
        let newest = self
            .snapshot
            .record
            .map_or(0, |r| r.times.detections_published);
        let Some(health) = self.overdue(newest, "detections") else {
            return self.live(self.snapshot.record.map_or(0, |r| r.times.sensor));
        };
        if !self.turns() || health.state == State::NotRunning {
            return health;
        }
        let no_frames = matches!(capture, State::Stale | State::NotRunning | State::Starting);
        if no_frames {
            let message = "infer waits: capture brings no frames".into();
            return self.say(State::Waiting, health.age_ms, message, "");
        }
        // Capture may be allowed more time than infer: until that is over, nobody is to blame.
        if health.state == State::Stale && self.owed() <= self.allowed() {
            return self.live(self.snapshot.record.map_or(0, |r| r.times.sensor));
        }
        health
    }

    /// For how long there has been a frame for infer that it has not given a record, nanoseconds. A silent source, and
    /// the first frame after it, are no fault of infer's. Frames in between are known by their numbers alone: they are
    /// taken to have come at capture's rate.
    fn owed(&self) -> u64 {
        let Some(frame) = &self.snapshot.frame else {
            return 0;
        };
        let Some(record) = &self.snapshot.record else {
            return u64::MAX;
        };
        let untaken = match frame.generation.cmp(&record.frame_generation) {
            Ordering::Less => 0, // the frame is from before a restart of capture
            Ordering::Equal => frame.seq.saturating_sub(record.frame_seq),
            Ordering::Greater => frame.seq,
        };
        let capture = &self.snapshot.stages[0];
        let before = untaken.saturating_sub(1).saturating_mul(interval(capture));
        let since = frame.t_published.saturating_sub(before);
        // What capture had not seen when it last reported came later.
        let reported = capture.stats.filter(|s| s.newest_ns <= record.times.sensor);
        let since = since.max(reported.map_or(0, |s| s.t_ns));
        if untaken == 0 {
            0
        } else {
            self.now.saturating_sub(since)
        }
    }

    fn render(&self, infer: State) -> Health {
        let last = self.stage.stats.map_or(0, |s| s.t_ns);
        let Some(stats) = self.stage.stats.filter(|_| self.turns()) else {
            return self
                .absent_or_starting("news")
                .unwrap_or_else(|| self.hung(last));
        };
        if infer != State::Live {
            let message = "render waits: infer brings no detections".into();
            return self.say(State::Waiting, self.age(stats.newest_ns), message, "");
        }
        // Statistics are a second old at most, records come in between: what infer has reported, render should have.
        let reported = self.snapshot.stages[1].stats.map_or(0, |s| s.newest_ns);
        let newest = self.snapshot.record.map_or(0, |r| r.times.sensor);
        let newest = newest.min(reported);
        let slack = ns(FRESH) + ns(Duration::from_secs(1)) + 2 * interval(&self.snapshot.stages[1]);
        if newest.saturating_sub(stats.newest_ns) > slack && self.up() > slack {
            let message = "render runs, but takes no detections".into();
            return self.stale(stats.newest_ns, message);
        }
        // As of its last word: the record it shows now is not known from outside.
        let age = stats.t_ns.saturating_sub(stats.newest_ns) / 1_000_000;
        let age = (stats.newest_ns != 0).then_some(age);
        self.say(State::Live, age, "render is live".into(), "")
    }

    /// How old the newest of this stage may be.
    fn allowed(&self) -> u64 {
        ns(FRESH) + 2 * interval(self.stage)
    }

    /// Why there are no new `what`, if there are none: the newest was put out at `newest`.
    fn overdue(&self, newest: u64, what: &str) -> Option<Health> {
        if newest != 0 && self.now.saturating_sub(newest) <= self.allowed() {
            return None;
        }
        if let Some(health) = self.absent_or_starting(what) {
            return Some(health);
        }
        // A process that is stopped need not be waited for to fall silent.
        if !self.turns() || self.stage.process.is_some_and(|p| p.stopped) {
            return Some(self.hung(newest));
        }
        let message = match (self.name, newest) {
            ("capture", 0) => "the source has delivered no frame since capture started".into(),
            ("capture", _) => format!(
                "the source has delivered no frame for {}",
                self.since(newest)
            ),
            (_, 0) => "infer runs, but takes no frames".into(),
            _ => format!("infer has published nothing for {}", self.since(newest)),
        };
        Some(self.stale(newest, message))
    }

    /// Nobody there, or somebody who has just come.
    fn absent_or_starting(&self, what: &str) -> Option<Health> {
        let name = self.name;
        match &self.stage.presence {
            Presence::Absent => {
                let remedy = format!(
                    "start it with: systemctl start hanja-{name}, or: hanja run; see its log for why it ended"
                );
                let message = format!("{name} does not run");
                return Some(self.say(State::NotRunning, None, message, &remedy));
            }
            Presence::Refused(why) => {
                let message = format!("{name} cannot be read: {why}");
                let remedy = "become a member of the group hanja-tap, and use the same release on both sides";
                return Some(self.say(State::Stale, None, message, remedy));
            }
            _ => {}
        }
        let young = self.up() <= ns(START);
        // A stage that has put out something has started; one that has not is given its time.
        let fruitless = self.stage.stats.is_none_or(|s| s.frames_total == 0);
        let stopped = self.stage.process.is_some_and(|p| p.stopped);
        (young && fruitless && !stopped && (self.stage.stats.is_none() || self.turns())).then(
            || {
                let message = format!("{name} starts: no {what} yet");
                let remedy =
                    format!("wait; if it stays so, see its log: journalctl -u hanja-{name}");
                self.say(State::Starting, None, message, &remedy)
            },
        )
    }

    /// The process is there and its loop does not turn.
    fn hung(&self, newest: u64) -> Health {
        let last = self.stage.stats.map_or(0, |s| s.t_ns).max(newest);
        let (name, process) = (self.name, self.stage.process);
        let pid = process.map_or_else(|| "its process id".into(), |p| p.pid.to_string());
        let (state, remedy) = if process.is_some_and(|p| p.stopped) {
            let remedy = format!("let it go on with: kill -CONT {pid}");
            ("is stopped", remedy)
        } else {
            let remedy =
                format!("restart it with: systemctl restart hanja-{name}, or: kill -9 {pid}");
            ("does nothing", remedy)
        };
        let message = match last {
            0 => format!("{name} {state}, and has said nothing yet"),
            last => format!("{name} {state}, for {}", self.since(last)),
        };
        self.say(State::Stale, self.age(last), message, &remedy)
    }

    /// It turns, and nothing comes of it.
    fn stale(&self, newest: u64, message: String) -> Health {
        let remedy = match self.name {
            "capture" => "look at the source: hanja doctor, and capture's log".to_owned(),
            name => format!("see its log; restart it with: systemctl restart hanja-{name}"),
        };
        self.say(State::Stale, self.age(newest), message, &remedy)
    }

    fn live(&self, sensor: u64) -> Health {
        self.say(
            State::Live,
            self.age(sensor),
            format!("{} is live", self.name),
            "",
        )
    }

    fn say(&self, state: State, age: Option<u64>, message: String, remedy: &str) -> Health {
        Health {
            state,
            age_ms: age,
            allowed_ms: self.allowed() / 1_000_000,
            message,
            remedy: remedy.to_owned(),
        }
    }

    /// Whether the stage's loop has reported lately. A loop that is as slow as its frames reports as seldom.
    fn turns(&self) -> bool {
        self.stage.stats.is_some_and(|s| reports(&s, self.now))
    }

    /// Nanoseconds since the process started; 0 if that is not known.
    fn up(&self) -> u64 {
        let by_stats = self
            .stage
            .stats
            .map(|s| self.now.saturating_sub(s.started_ns));
        by_stats
            .or(self.stage.process.map(|p| p.age_ns))
            .or(self.stage.silent_since.map(|t| self.now.saturating_sub(t)))
            .unwrap_or(0)
    }

    /// Milliseconds since a stamp.
    fn age(&self, stamp: u64) -> Option<u64> {
        (stamp != 0).then(|| self.now.saturating_sub(stamp) / 1_000_000)
    }

    fn since(&self, stamp: u64) -> String {
        seconds(self.age(stamp))
    }
}

/// Whether a stage whose last statistics these are still reports, as of `now`: what they say of its last second holds.
#[must_use]
pub fn reports(stats: &StageStats, now: u64) -> bool {
    now.saturating_sub(stats.t_ns) <= ns(SILENT) + 2 * interval_of(stats)
}

/// Since when what began at `since` stands still, if for long enough. It is measured between frames rather than up to
/// now: a source without frames is another matter.
fn stands(frame: &FrameMeta, since: u64) -> Option<u64> {
    let span = frame.t_dequeued.saturating_sub(since);
    (since != 0 && span >= ns(STANDS)).then_some(since)
}

/// Nanoseconds between two frames of a stage, by its own word. The rate of the last second where there were several
/// frames in it, else the mean of its life.
fn interval(stage: &StageSnapshot) -> u64 {
    stage.stats.as_ref().map_or(0, interval_of)
}

fn interval_of(s: &StageStats) -> u64 {
    let interval = if s.fps_milli >= 2000 {
        1_000_000_000_000 / u64::from(s.fps_milli)
    } else {
        mean_interval(s)
    };
    interval.min(ns(SLOWEST))
}

fn mean_interval(s: &StageStats) -> u64 {
    let life = s.t_ns.saturating_sub(s.started_ns);
    life.checked_div(s.frames_total).unwrap_or(0)
}

fn notices(snapshot: &Snapshot, stages: &Stages) -> Vec<Notice> {
    let mut notices = Vec::new();
    let Some(frame) = snapshot
        .frame
        .filter(|_| stages.capture.state == State::Live)
    else {
        return notices;
    };
    let spell = |since| seconds(Some(frame.t_dequeued.saturating_sub(since) / 1_000_000));
    if let Some(since) = stands(&frame, frame.t_new_picture) {
        let message = format!(
            "the picture has not changed for {}: a still source, a covered lens, or a camera that hangs",
            spell(since)
        );
        let code = "still_picture";
        notices.push(Notice { code, message });
    } else if stands(&frame, frame.t_new_number).is_some() {
        notices.push(Notice {
            code: "unnumbered",
            message: "the source does not number its frames: those it loses are not counted".into(),
        });
    }
    notices
}

/// As people say it; longer spells lose their tenths.
fn seconds(ms: Option<u64>) -> String {
    match ms.unwrap_or(0) {
        ms @ ..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms @ ..120_000 => format!("{} s", ms / 1000),
        ms @ ..7_200_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

fn ns(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
