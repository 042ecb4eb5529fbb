//! Is it alive? Judged by the age of the data, never by whether a process exists: a thread that hangs, a camera that
//! went silent and a dead stage all look the same from here, and all are told.

use crate::board::Facts;
use crate::json::{LatencyJson, Named, StatsJson};
use hanja_common::record::{FrameFlags, MetricId, StageStats};
use hanja_common::stage::StageName;
use serde::Serialize;

/// Data older than this is not live.
const STALE_NS: u64 = 2_000_000_000;

/// What the view may claim to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Frames of a camera or file, and detections, both fresh.
    Live,
    /// The same, but the frames are drawn by `synth:`.
    Synthetic,
    /// Frames are fresh, detections are not.
    NoDetections,
    /// The source says it has no picture.
    NoSignal,
    /// The newest frame is old.
    Stale,
    /// No frame yet.
    Waiting,
}

/// The judgement, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Health {
    /// Whether frames and detections are fresh.
    pub(crate) ok: bool,
    pub(crate) state: State,
    /// The stage that is to blame; absent when all is well.
    pub(crate) stage: Option<&'static str>,
    /// In words.
    pub(crate) reason: String,
    pub(crate) frame_age_ms: Option<u64>,
    pub(crate) detection_age_ms: Option<u64>,
    pub(crate) source: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) backend: Option<&'static str>,
}

/// Judges at `now`.
pub(crate) fn judge(facts: &Facts, now: u64) -> Health {
    let age = |at: u64| (at != 0).then(|| now.saturating_sub(at));
    let frame_age = facts.frame.and_then(|f| age(f.t_published));
    let detection_age = age(facts.inferred_ns);
    let what = |stage: StageName| {
        let stats = facts.stats[stage as usize - 1].as_ref();
        stats.map(StageStats::what).filter(|what| !what.is_empty())
    };
    let source = what(StageName::Capture);
    let flagged = |flag| facts.frame.is_some_and(|f| f.has(flag));
    let seconds = |age: u64| age as f64 / 1e9;
    let named = source
        .as_ref()
        .map_or_else(String::new, |s| format!(" ({s})"));
    let (state, reason) = match (frame_age, detection_age) {
        (None, _) => (State::Waiting, format!("no frame has come yet{named}")),
        (Some(age), _) if age > STALE_NS => {
            let text = format!("the newest frame is {:.1} s old{named}", seconds(age));
            (State::Stale, text)
        }
        _ if flagged(FrameFlags::NO_SIGNAL) => {
            (State::NoSignal, format!("the source has no signal{named}"))
        }
        (_, None) => (
            State::NoDetections,
            "no frame has been looked at yet".into(),
        ),
        (_, Some(age)) if age > STALE_NS => (State::NoDetections, infer_trouble(facts, age)),
        _ if flagged(FrameFlags::SYNTHETIC) => {
            (State::Synthetic, "drawn, not seen by a camera".into())
        }
        _ => (State::Live, "frames and detections are fresh".into()),
    };
    let stage = match state {
        State::Live | State::Synthetic => None,
        State::NoDetections => Some(StageName::Infer.name()),
        State::NoSignal | State::Stale | State::Waiting => Some(StageName::Capture.name()),
    };
    let ms = |age: u64| age / 1_000_000;
    Health {
        ok: stage.is_none(),
        state,
        stage,
        reason,
        frame_age_ms: frame_age.map(ms),
        detection_age_ms: detection_age.map(ms),
        source,
        model: what(StageName::Infer),
        backend: facts.record.as_ref().map(|r| r.backend().name()),
    }
}

fn infer_trouble(facts: &Facts, age: u64) -> String {
    let status = facts.record.as_ref().map_or(0, |r| r.header.status);
    let seconds = age as f64 / 1e9;
    match crate::json::status_name(status) {
        "undecodable" => format!("frames cannot be decoded since {seconds:.1} s"),
        _ => format!("the newest detections are {seconds:.1} s old"),
    }
}

/// Everything the page shows besides the picture.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StatusJson {
    version: &'static str,
    health: Health,
    format: Option<&'static str>,
    size: Option<[u32; 2]>,
    /// Sensor to detections visible, over the last second.
    end_to_end_ms: Option<LatencyJson>,
    /// Absent: the stage has not been heard of for 3 s.
    stages: Named<Option<StatsJson>>,
    counts: Counts,
}

#[derive(Clone, Debug, Serialize)]
struct Counts {
    /// Frames capture published.
    captured: u64,
    /// Frames the model looked at.
    inferred: u64,
    /// Frames not looked at.
    skipped: Named<u64>,
    /// Frames lost in the driver.
    lost: u64,
    /// Records render has handled and missed.
    records: u64,
    missed: u64,
    /// Pictures made for viewers.
    pictures: u64,
    viewers: usize,
}

impl StatusJson {
    pub(crate) fn new(facts: &Facts, viewers: usize, now: u64) -> Self {
        let stats = |stage: StageName| facts.stats[stage as usize - 1].as_ref();
        let (capture, infer) = (stats(StageName::Capture), stats(StageName::Infer));
        let of = |s: Option<&StageStats>, f: fn(&StageStats) -> u64| s.map_or(0, f);
        let alive = |stage| facts.alive(stage, now).map(StatsJson::new);
        let stages: Vec<_> = StageName::ALL.map(|s| (s.name(), alive(s))).into();
        let end_to_end = facts
            .alive(StageName::Infer, now)
            .and_then(|s| s.metric(MetricId::EndToEnd))
            .map(LatencyJson::new);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            health: judge(facts, now),
            format: facts.frame.and_then(|f| f.format()).map(|f| f.name()),
            size: facts.frame.map(|f| [f.width, f.height]),
            end_to_end_ms: end_to_end,
            stages: Named(stages),
            counts: Counts {
                captured: of(capture, |s| s.frames_total),
                inferred: of(infer, |s| s.frames_total),
                skipped: skipped(facts),
                lost: of(capture, |s| s.lost_total),
                records: facts.records,
                missed: facts.missed,
                pictures: facts.pictures,
                viewers,
            },
        }
    }
}

/// Frames not looked at, by reason, as the stages last counted them.
pub(crate) fn skipped(facts: &Facts) -> Named<u64> {
    let of = |stage: StageName, f: fn(&StageStats) -> u64| {
        facts.stats[stage as usize - 1].as_ref().map_or(0, f)
    };
    Named(vec![
        ("busy", of(StageName::Infer, |s| s.skipped_busy_total)),
        (
            "undecodable",
            of(StageName::Infer, |s| s.skipped_undecodable_total),
        ),
        (
            "no_signal",
            of(StageName::Infer, |s| s.skipped_no_signal_total),
        ),
        ("ring_full", of(StageName::Capture, |s| s.dropped_total)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_common::record::{DetectionRecord, FrameMeta, Status};
    use std::sync::Arc;

    const S: u64 = 1_000_000_000;
    const NOW: u64 = 100 * S;

    fn facts(frame_age: u64, detection_age: u64, flags: u32) -> Facts {
        let mut meta = FrameMeta::zeroed();
        meta.t_published = NOW - frame_age;
        meta.flags = flags;
        let mut capture = StageStats::new(1);
        capture.set_what("v4l2:/dev/video0");
        capture.t_ns = NOW;
        Facts {
            stats: [Some(capture), None, None],
            frame: Some(meta),
            record: Some(Arc::new(DetectionRecord::default())),
            inferred_ns: NOW - detection_age,
            ..Default::default()
        }
    }

    fn state(facts: &Facts) -> (State, bool, Option<&'static str>) {
        let h = judge(facts, NOW);
        (h.state, h.ok, h.stage)
    }

    #[test]
    fn states_by_age() {
        let capture = Some("capture");
        assert_eq!(state(&Facts::default()), (State::Waiting, false, capture));
        assert_eq!(state(&facts(S, S, 0)), (State::Live, true, None));
        assert_eq!(
            state(&facts(S, S, FrameFlags::SYNTHETIC)),
            (State::Synthetic, true, None)
        );
        assert_eq!(
            state(&facts(3 * S, 3 * S, 0)),
            (State::Stale, false, capture)
        );
        assert_eq!(
            state(&facts(S, 3 * S, 0)),
            (State::NoDetections, false, Some("infer"))
        );
        assert_eq!(
            state(&facts(S, NOW, 0)),
            (State::NoDetections, false, Some("infer"))
        );
        assert_eq!(
            state(&facts(S, S, FrameFlags::NO_SIGNAL)),
            (State::NoSignal, false, capture)
        );
    }

    #[test]
    fn reasons_name_the_thing() {
        let h = judge(&facts(3 * S + S / 2, S, 0), NOW);
        assert_eq!(h.reason, "the newest frame is 3.5 s old (v4l2:/dev/video0)");
        assert_eq!(
            (h.frame_age_ms, h.detection_age_ms),
            (Some(3500), Some(1000))
        );
        let mut undecodable = DetectionRecord::default();
        undecodable.header.status = Status::Undecodable as u16;
        let mut facts = facts(S, 4 * S, 0);
        facts.record = Some(Arc::new(undecodable));
        assert_eq!(
            judge(&facts, NOW).reason,
            "frames cannot be decoded since 4.0 s"
        );
    }

    #[test]
    fn a_stage_unheard_of_is_absent() {
        let mut facts = facts(S, S, 0);
        let stages = |facts: &Facts| {
            let json = serde_json::to_value(StatusJson::new(facts, 2, NOW)).unwrap();
            assert_eq!(json["counts"]["viewers"], 2);
            json["stages"].clone()
        };
        assert_eq!(stages(&facts)["capture"]["what"], "v4l2:/dev/video0");
        assert!(stages(&facts)["infer"].is_null());
        if let Some(capture) = &mut facts.stats[0] {
            capture.t_ns = NOW - 4 * S;
        }
        assert!(stages(&facts)["capture"].is_null());
    }
}
