//! What was seen, and what is made of it.

use super::Presence;
use hanja_record::{DetectionHeader, FrameMeta, StageStats};
use serde::Serialize;
use std::time::Duration;

/// Frames and records older than this are not live; a source or a model that takes long for one gets two of its own
/// intervals more, at most [`SLOWEST`].
pub const FRESH: Duration = Duration::from_secs(2);

/// A stage writes its statistics once a second from the same loop that handles frames: after this time without any,
/// the loop does not turn.
pub const SILENT: Duration = Duration::from_secs(3);

/// A number, a clock or a picture that has not changed over frames of this span stands still.
pub const STANDS: Duration = Duration::from_secs(2);

/// So long after its start a stage may have nothing to show.
pub const START: Duration = Duration::from_secs(60);

/// Longest interval between two frames that is taken for a slow source or model rather than for none.
pub const SLOWEST: Duration = Duration::from_secs(30);

/// How a stage, or the whole pipeline, is. The order is that of badness: the whole is as bad as its worst stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Data flows and is new.
    Live,
    /// The stage is well and has nothing to do, because the one before it brings nothing.
    Waiting,
    /// Frames come, but the source says of itself that it has no picture (camera unplugged, no input).
    NoSignal,
    /// Frames come and differ, but the source's time stamps stand still: their age is not known.
    ClockFrozen,
    /// The source delivers one and the same frame again and again.
    Repeating,
    /// Started a moment ago, no data yet.
    Starting,
    /// There was data, or there should be by now, and none comes.
    Stale,
    /// Nobody listens on the stage's socket.
    #[default]
    NotRunning,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Live,
        Self::Waiting,
        Self::NoSignal,
        Self::ClockFrozen,
        Self::Repeating,
        Self::Starting,
        Self::Stale,
        Self::NotRunning,
    ];

    /// The name in JSON, metrics and on the command line.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::NoSignal => "no_signal",
            Self::ClockFrozen => "clock_frozen",
            Self::Repeating => "repeating",
            Self::Starting => "starting",
            Self::Stale => "stale",
            Self::NotRunning => "not_running",
        }
    }

    /// What is shown is the desk as it is now: `/healthz` says 200, `hanja status` ends with 0.
    #[must_use]
    pub fn ok(self) -> bool {
        self == Self::Live
    }

    /// Whether ending the process and starting it again is the remedy: what a watchdog is for. A camera without signal
    /// is not mended so, nor is a stage that waits for another. capture knows one case more: a file or pipe that pauses
    /// is stale, and would not go on for a new process either.
    #[must_use]
    pub fn restart_helps(self) -> bool {
        self == Self::Stale
    }
}

/// What is known of one stage.
#[derive(Clone, Debug, Default)]
pub struct StageSnapshot {
    /// What is at the other end of its socket.
    pub presence: Presence,
    /// Its last statistics in this life.
    pub stats: Option<StageStats>,
    /// The bytes they were read from, for what stands behind them ([`StageStats::words_in`]).
    pub bytes: Vec<u8>,
    /// Since when its socket has been open without an answer, as far as the observer has seen.
    pub silent_since: Option<u64>,
    /// Its process, as far as it can be looked at.
    pub process: Option<Process>,
}

/// What is known of a pipeline: what [`judge()`](super::judge()) goes by.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Capture, infer, render.
    pub stages: [StageSnapshot; 3],
    /// Metadata of the newest frame in the frames ring.
    pub frame: Option<FrameMeta>,
    /// Head of the newest detection record.
    pub record: Option<DetectionHeader>,
}

/// How one stage is, as judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How it is.
    pub state: State,
    /// Age of the newest data that can be called new, milliseconds; null: there is none. Live and without signal: since
    /// the newest frame of this stage left the sensor (of render, when it last reported). Stale: since the stage last put out or reported anything.
    /// Repeating or with a frozen clock: since that has lasted.
    pub age_ms: Option<u64>,
    /// The age up to which the data of this stage counts as live, milliseconds: more where frames come seldom.
    pub allowed_ms: u64,
    /// The state in one sentence without a full stop; in JSON `words`.
    #[serde(rename = "words")]
    pub message: String,
    /// What to do about it; empty where nothing need be done.
    pub remedy: String,
}

/// The codes of all notices.
pub const NOTICES: [&str; 2] = ["still_picture", "unnumbered"];

/// Something that is worth a look and may be in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// One of [`NOTICES`].
    pub code: &'static str,
    /// In one sentence; in JSON `words`.
    #[serde(rename = "words")]
    pub message: String,
}

/// How a pipeline is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Liveness {
    /// The worst of the stages, and what is said about that one.
    #[serde(flatten)]
    pub overall: Health,
    /// [`State::ok`] of it.
    pub ok: bool,
    /// Capture, infer, render.
    pub stages: Stages,
    /// What may be in order and may not.
    pub notices: Vec<Notice>,
}

/// The health of each stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stages {
    /// Source to frames.
    pub capture: Health,
    /// Frames to detections.
    pub infer: Health,
    /// Detections to people.
    pub render: Health,
}

impl Stages {
    /// With their names, in the order in which a frame passes.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Health); 3] {
        [
            ("capture", &self.capture),
            ("infer", &self.infer),
            ("render", &self.render),
        ]
    }
}

impl Liveness {
    /// What is not as it should be, a sentence per stage: empty when all is live. A stage that only waits for another
    /// has no sentence of its own.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let told = |j: &&Health| !matches!(j.state, State::Live | State::Waiting);
        let all = self.stages.named().map(|(_, health)| health);
        all.into_iter()
            .filter(told)
            .map(|j| j.message.clone())
            .collect()
    }
}

/// What the system says of a stage's process, where it may be asked (`/proc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Nanoseconds since its start.
    pub age_ns: u64,
    /// Somebody sent it SIGSTOP, or a debugger holds it.
    pub stopped: bool,
}
