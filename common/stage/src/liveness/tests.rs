//! One situation after the other, each as `hanja status` or `/healthz` meets it.

use super::*;
use hanja_record::{DetectionHeader, FrameFlags, FrameMeta, StageStats, Status};
use zerocopy::FromBytes;

mod silence;

const S: u64 = 1_000_000_000;
const NOW: u64 = 1000 * S;

/// A pipeline of 30 frames a second in its tenth minute, as of `NOW`.
fn healthy() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (stage, n) in snapshot.stages.iter_mut().zip(1..) {
        stage.presence = Presence::Attached;
        stage.stats = Some(StageStats {
            t_ns: NOW - S / 2,
            started_ns: NOW - 600 * S,
            newest_ns: NOW - S / 2 - S / 20,
            frames_total: 18_000,
            fps_milli: 30_000,
            pid: 100 + n,
            ..StageStats::new(n as u16)
        });
    }
    snapshot.frame = Some(frame(NOW - S / 30));
    snapshot.record = Some(record(NOW - S / 15));
    snapshot
}

/// A frame whose number, time and picture are new, of a source of 30 frames a second.
fn frame(at: u64) -> FrameMeta {
    FrameMeta {
        seq: at / (S / 30),
        t_sensor: at - S / 100,
        t_dequeued: at,
        t_published: at,
        t_new_number: at,
        t_new_time: at,
        t_new_picture: at,
        ..FrameMeta::zeroed()
    }
}

fn record(frame_at: u64) -> DetectionHeader {
    let mut header = DetectionHeader::read_from_bytes(&[0; 256]).unwrap();
    header.frame_seq = frame(frame_at).seq;
    header.times.sensor = frame_at - S / 100;
    header.times.published = frame_at;
    header.times.detections_published = frame_at + S / 50;
    header
}

fn states(l: &Liveness) -> [State; 4] {
    let s = &l.stages;
    [
        l.overall.state,
        s.capture.state,
        s.infer.state,
        s.render.state,
    ]
}

/// `snapshot`, looked at `later` nanoseconds after it was seen.
fn after(snapshot: &Snapshot, later: u64) -> Liveness {
    judge(snapshot, NOW + later)
}

/// The stages from `first` on have gone on meanwhile: their loops turn.
fn turning(snapshot: &mut Snapshot, first: usize, later: u64) {
    for stage in snapshot.stages.iter_mut().skip(first) {
        let stats = stage.stats.as_mut().unwrap();
        stats.t_ns += later;
    }
}

#[test]
fn a_healthy_one_is_live() {
    let l = judge(&healthy(), NOW);
    assert_eq!(states(&l), [State::Live; 4], "{l:?}");
    assert!(l.ok && l.notices.is_empty() && l.reasons().is_empty());
    assert_eq!(l.overall.age_ms, Some(76));
    assert_eq!(l.stages.capture.age_ms, Some(43));
    assert_eq!(l.overall.message, "live");
}

#[test]
fn a_stopped_capture_is_stale_and_the_others_wait() {
    let mut snapshot = healthy();
    turning(&mut snapshot, 1, 5 * S);
    assert_eq!(states(&after(&snapshot, S))[0], State::Live, "not yet");
    let l = after(&snapshot, 5 * S);
    assert_eq!(
        states(&l),
        [State::Stale, State::Stale, State::Waiting, State::Waiting]
    );
    assert!(!l.ok && l.overall.state.restart_helps());
    assert_eq!(l.reasons(), ["capture does nothing, for 5.0 s"]);
    snapshot.stages[0].process = Some(Process {
        pid: 101,
        age_ns: 600 * S,
        stopped: true,
    });
    let l = after(&snapshot, 5 * S);
    assert_eq!(l.overall.message, "capture is stopped, for 5.0 s");
    assert_eq!(l.overall.remedy, "let it go on with: kill -CONT 101");
    // It is seen from the frames' age, before the statistics are missed.
    assert_eq!(states(&after(&snapshot, 5 * S / 2))[0], State::Stale);
}

#[test]
fn a_source_that_delivers_nothing_is_not_captures_hanging() {
    let mut snapshot = healthy();
    turning(&mut snapshot, 0, 5 * S);
    let l = after(&snapshot, 5 * S);
    assert_eq!(
        l.overall.message,
        "the source has delivered no frame for 5.0 s"
    );
    assert!(l.overall.remedy.contains("hanja doctor"));
    assert_eq!(l.stages.infer.state, State::Waiting);
}

#[test]
fn a_stopped_infer_and_a_stopped_render_are_told_apart() {
    let mut snapshot = healthy();
    turning(&mut snapshot, 0, 5 * S);
    snapshot.frame = Some(frame(NOW + 5 * S - S / 30));
    snapshot.stages[1].stats.as_mut().unwrap().t_ns = NOW - S / 2;
    let l = after(&snapshot, 5 * S);
    assert_eq!(
        states(&l),
        [State::Stale, State::Live, State::Stale, State::Waiting]
    );
    assert_eq!(l.reasons(), ["infer does nothing, for 5.0 s"]);

    let mut snapshot = healthy();
    turning(&mut snapshot, 0, 5 * S);
    snapshot.frame = Some(frame(NOW + 5 * S - S / 30));
    snapshot.record = Some(record(NOW + 5 * S - S / 15));
    snapshot.stages[1].stats.as_mut().unwrap().newest_ns += 5 * S;
    snapshot.stages[2].stats.as_mut().unwrap().t_ns = NOW - S / 2;
    let l = after(&snapshot, 5 * S);
    assert_eq!(
        states(&l),
        [State::Stale, State::Live, State::Live, State::Stale]
    );
    assert_eq!(l.overall.message, "render does nothing, for 5.5 s");
    // It turns, and takes nothing.
    snapshot.stages[2].stats.as_mut().unwrap().t_ns = NOW + 5 * S;
    let l = after(&snapshot, 5 * S);
    assert_eq!(l.overall.message, "render runs, but takes no detections");
}

#[test]
fn who_is_not_there_does_not_run_once_its_data_is_old() {
    let mut snapshot = healthy();
    turning(&mut snapshot, 1, 5 * S);
    snapshot.stages[0].presence = Presence::Absent;
    assert!(after(&snapshot, S / 2).ok, "a restart takes a moment");
    let l = after(&snapshot, 5 * S);
    assert_eq!(
        states(&l)[..3],
        [State::NotRunning, State::NotRunning, State::Waiting]
    );
    assert_eq!(l.overall.message, "capture does not run");
    for stage in &mut snapshot.stages {
        stage.presence = Presence::Absent;
    }
    let l = after(&snapshot, 50 * S);
    assert_eq!(states(&l), [State::NotRunning; 4]);
    assert_eq!(l.overall.message, "no pipeline runs here");
    let nobody = judge(&Snapshot::default(), NOW);
    assert_eq!(states(&nobody)[0], State::Starting, "not looked yet");
}

#[test]
fn a_start_is_given_its_time() {
    let mut snapshot = Snapshot::default();
    for stage in &mut snapshot.stages {
        stage.presence = Presence::Silent { pid: Some(7) };
    }
    assert_eq!(states(&judge(&snapshot, NOW)), [State::Starting; 4]);
    // Behind the service manager's socket no process is known: the observer's own patience counts.
    snapshot.stages[0].silent_since = Some(NOW - 61 * S);
    assert_eq!(states(&judge(&snapshot, NOW))[1], State::Stale);
    let process = |age_ns, stopped| {
        Some(Process {
            pid: 7,
            age_ns,
            stopped,
        })
    };
    for stage in &mut snapshot.stages {
        stage.process = process(59 * S, false);
    }
    assert_eq!(states(&judge(&snapshot, NOW))[0], State::Starting);
    snapshot.stages[1].process = process(61 * S, false);
    let l = judge(&snapshot, NOW);
    assert_eq!(
        states(&l)[..3],
        [State::Stale, State::Starting, State::Stale]
    );
    assert_eq!(
        l.overall.message,
        "infer does nothing, and has said nothing yet"
    );
    snapshot.stages[1].process = process(S, true);
    assert_eq!(
        states(&judge(&snapshot, NOW))[2],
        State::Stale,
        "stopped is stopped"
    );
}

#[test]
fn no_signal_is_neither_live_nor_stale() {
    let mut snapshot = healthy();
    snapshot.frame.as_mut().unwrap().flags = FrameFlags::NO_SIGNAL;
    let l = judge(&snapshot, NOW);
    assert_eq!(
        states(&l)[..3],
        [State::NoSignal, State::NoSignal, State::Live]
    );
    assert!(!l.ok && !l.overall.state.restart_helps());
    // Known from the record alone, to who may not attach to capture.
    snapshot.frame = None;
    snapshot.record.as_mut().unwrap().status = Status::NoSignal as u16;
    assert_eq!(states(&judge(&snapshot, NOW))[0], State::NoSignal);
}

#[test]
fn the_same_frame_again_needs_two_witnesses() {
    let judged = |number: bool, time: bool, picture: bool| {
        let mut snapshot = healthy();
        let f = snapshot.frame.as_mut().unwrap();
        let since = f.t_dequeued - 4 * S;
        for (stamp, stands) in [
            (&mut f.t_new_number, number),
            (&mut f.t_new_time, time),
            (&mut f.t_new_picture, picture),
        ] {
            *stamp = if stands { since } else { *stamp };
        }
        let l = judge(&snapshot, NOW);
        (
            l.overall.state,
            l.notices.iter().map(|n| n.code).collect::<Vec<_>>(),
        )
    };
    assert_eq!(judged(true, false, true), (State::Repeating, vec![]));
    assert_eq!(judged(false, true, true), (State::Repeating, vec![]));
    assert_eq!(judged(true, true, true), (State::Repeating, vec![]));
    assert_eq!(judged(false, true, false), (State::ClockFrozen, vec![]));
    assert_eq!(judged(true, true, false), (State::ClockFrozen, vec![]));
    // Each may be in order: a still source, a driver that does not count.
    assert_eq!(
        judged(false, false, true),
        (State::Live, vec!["still_picture"])
    );
    assert_eq!(
        judged(true, false, false),
        (State::Live, vec!["unnumbered"])
    );
    assert_eq!(judged(false, false, false), (State::Live, vec![]));
}

#[test]
fn standing_still_takes_two_seconds_and_two_frames() {
    let mut snapshot = healthy();
    let f = snapshot.frame.as_mut().unwrap();
    (f.t_new_number, f.t_new_picture) = (f.t_dequeued - 2 * S + 1, f.t_dequeued - 2 * S + 1);
    assert!(judge(&snapshot, NOW).ok);
    let f = snapshot.frame.as_mut().unwrap();
    (f.t_new_number, f.t_new_picture) = (f.t_dequeued - 2 * S, f.t_dequeued - 2 * S);
    let l = judge(&snapshot, NOW);
    assert_eq!(l.overall.state, State::Repeating);
    assert_eq!(l.overall.age_ms, Some(2033));
    assert!(
        l.overall.message.contains("again, for 2.0 s"),
        "{}",
        l.overall.message
    );
    // A writer that does not tell is not judged by it.
    let f = snapshot.frame.as_mut().unwrap();
    (f.t_new_number, f.t_new_time, f.t_new_picture) = (0, 0, 0);
    assert!(judge(&snapshot, NOW).ok);
}

#[test]
fn a_slow_source_and_a_slow_model_are_given_their_interval() {
    // A frame in five seconds; the last one four seconds ago.
    let mut snapshot = healthy();
    for stage in &mut snapshot.stages {
        let s = stage.stats.as_mut().unwrap();
        (s.fps_milli, s.frames_total, s.newest_ns) = (0, 120, NOW - 4 * S);
    }
    snapshot.frame = Some(frame(NOW - 4 * S));
    snapshot.record = Some(record(NOW - 4 * S));
    assert!(judge(&snapshot, NOW).ok);
    assert_eq!(judge(&snapshot, NOW).stages.capture.allowed_ms, 11_991);
    assert!(after(&snapshot, 7 * S).ok);
    assert!(!after(&snapshot, 9 * S).ok);
    // One frame within the second says nothing about the rate.
    snapshot.stages[0].stats.as_mut().unwrap().fps_milli = 1000;
    assert!(judge(&snapshot, NOW).ok);
    // No source is so slow that it is waited for for ever.
    for stage in &mut snapshot.stages {
        stage.stats.as_mut().unwrap().frames_total = 1;
    }
    assert_eq!(states(&after(&snapshot, 63 * S))[0], State::Stale);
}

#[test]
fn every_number_survives() {
    let mut snapshot = healthy();
    for now in [0, 1, u64::MAX] {
        let _ = judge(&snapshot, now);
    }
    for stage in &mut snapshot.stages {
        let s = stage.stats.as_mut().unwrap();
        (s.t_ns, s.started_ns, s.newest_ns) = (u64::MAX, u64::MAX, u64::MAX);
        (s.fps_milli, s.frames_total) = (u32::MAX, 0);
    }
    let all = FrameMeta::read_from_bytes(&[0xff; 256]).unwrap();
    snapshot.frame = Some(all);
    snapshot.record = Some(DetectionHeader::read_from_bytes(&[0xff; 256]).unwrap());
    for now in [0, NOW, u64::MAX] {
        let _ = judge(&snapshot, now);
    }
}

#[test]
fn the_json_is_flat_and_coded() {
    let json = serde_json::to_value(judge(&healthy(), NOW)).unwrap();
    assert_eq!(json["state"], "live");
    assert_eq!(json["ok"], true);
    assert_eq!(json["stages"]["render"]["state"], "live");
    for state in State::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.code());
    }
    assert!(State::ALL.is_sorted());
}
