//! What is said of pipelines in every state.

use super::*;
use crate::fixture::{DESK, Life, NOW, frame, healthy, record, with};
use hanja_record::{FrameFlags, MetricId, StageStats};
use hanja_stage::liveness::Presence;
use zerocopy::IntoBytes;

fn said(model: &Model) -> Vec<(Level, String)> {
    let live = model.liveness(NOW);
    let all = warnings(model, &live, NOW);
    all.into_iter().map(|w| (w.level, w.text)).collect()
}

fn slow(ms: f64, busy: u64) -> Model {
    let steps = vec![(MetricId::Inference, ms), (MetricId::Queue, 50.0)];
    let infer = Life {
        steps,
        losses: [busy, 0, 0, 0],
        ..Life::infer()
    };
    with(Life::capture(), infer, Life::render())
}

#[test]
fn health_needs_no_words() {
    assert_eq!(said(&healthy()), []);
}

#[test]
fn the_limit_is_named_with_its_numbers() {
    let limit = |text: &str| format!("infer is the limit: {text}");
    assert_eq!(
        said(&slow(24.1, 0)),
        [(Level::Note, limit("24.1 ms of a 33.3 ms frame"))]
    );
    assert_eq!(
        said(&slow(51.0, 12)),
        [(
            Level::Warn,
            limit("51.0 ms of a 33.3 ms frame; 12.0 frames a second are passed over")
        )]
    );
    assert_eq!(
        said(&slow(10.0, 2)),
        [(
            Level::Warn,
            "infer is late now and then: 2.0 frames a second are passed over".into()
        )]
    );
    assert_eq!(said(&slow(20.0, 0)), []);
}

#[test]
fn losses_are_told_apart() {
    let capture = Life {
        losses: [0, 2, 3, 0],
        ..Life::capture()
    };
    let infer = Life {
        losses: [0, 0, 0, 1],
        ..Life::infer()
    };
    assert_eq!(
        said(&with(capture, infer, Life::render())),
        [
            (
                Level::Warn,
                "frames are dropped: every slot is leased (3.0 a second)".into()
            ),
            (
                Level::Warn,
                "frames are lost in the driver (2.0 a second)".into()
            ),
            (
                Level::Warn,
                "frames cannot be decoded (1.0 a second)".into()
            ),
        ]
    );
}

#[test]
fn what_is_not_there_is_said_first() {
    let mut model = Model::new(NOW);
    for stage in StageName::ALL {
        model.snapshot_mut(stage).presence = Presence::Absent;
    }
    let all = said(&model);
    assert_eq!(all.len(), 1, "one sentence for all: {all:?}");
    assert_eq!(all[0].0, Level::Bad);

    // Capture and infer live on without render.
    let mut model = slow(24.1, 0);
    let mut gone = Model::new(NOW - 90 * SECOND);
    std::mem::swap(&mut model, &mut gone);
    Life::capture().live(&mut model, NOW - 9 * SECOND, NOW);
    Life::infer().live(&mut model, NOW - 9 * SECOND, NOW);
    let newest = frame(NOW - 20_000_000);
    model.take_frame(&newest, NOW);
    model.take_found(&record(&newest, &DESK));
    model.snapshot_mut(StageName::Render).presence = Presence::Absent;
    assert_eq!(said(&model), [(Level::Bad, "render does not run".into())]);
}

#[test]
fn no_signal_says_for_how_long() {
    let mut model = healthy();
    for s in [6, 4, 2, 0] {
        let mut meta = frame(NOW - s * SECOND - 10_000_000);
        meta.flags = FrameFlags::NO_SIGNAL;
        model.take_frame(&meta, NOW - s * SECOND);
    }
    let all = said(&model);
    assert!(
        all[0].1.ends_with(", for 6 s") && all[0].0 == Level::Bad,
        "{all:?}"
    );
    assert!(all[0].1.contains("unplugged"), "{all:?}");
}

#[test]
fn the_same_frame_again_is_no_live_picture() {
    let mut model = healthy();
    let mut meta = frame(NOW - 10_000_000);
    let since = NOW - 5 * SECOND;
    (meta.t_new_number, meta.t_new_time, meta.t_new_picture) = (since, since, since);
    model.take_frame(&meta, NOW);
    let all = said(&model);
    assert!(all[0].1.contains("the same frame again"), "{all:?}");
    assert_eq!(sign(model.liveness(NOW).overall.state), "SAME FRAME AGAIN");
}

#[test]
fn restarts_and_other_versions_are_told() {
    let mut model = healthy();
    let mut again = Life::render();
    (again.pid, again.started) = (1, NOW - 8 * SECOND);
    again.live(&mut model, NOW - 7 * SECOND, NOW);
    assert_eq!(
        said(&model),
        [(Level::Note, "render was started again 7 s ago".into())]
    );
    let mut other = StageStats::new(1);
    other.abi_major = 2;
    model.take_stats(StageName::Capture, other.as_bytes(), NOW);
    let all = said(&model);
    assert!(all[0].1.starts_with("capture cannot be read: ") && all[0].1.contains("version 2"));
}

#[test]
fn numbers_as_people_say_them() {
    for (ns, text) in [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
    ] {
        assert_eq!(span(ns * SECOND), text);
    }
    assert_eq!(per_second(12.1, "frames"), "12.1 frames a second");
    assert_eq!(per_second(0.1, ""), "6 a minute");
    assert_eq!(per_second(240.2, "frames"), "240 frames a second");
    for (n, text) in [
        (0, "0"),
        (9999, "9999"),
        (12_345, "12 345"),
        (9_999_999, "9 999 999"),
        (12_345_678, "12.3 M"),
        (u64::MAX, "many"),
    ] {
        assert_eq!(count(n), text);
        assert!(text.len() <= 9);
    }
    for (value, text) in [
        (0.0, "0.000"),
        (0.0094, "0.009"),
        (0.00996, "0.01"),
        (9.99, "9.99"),
        (9.999, "10.0"),
        (99.96, "100"),
        (1e9, "long"),
        (f64::NAN, "?"),
    ] {
        assert_eq!(ms(value), text);
    }
    assert_eq!(
        (memory(9 * 1024), memory(u32::MAX)),
        ("9.0 MiB".into(), "4096 GiB".into())
    );
    assert_eq!(
        (cpu(1.94), cpu(f64::MAX)),
        ("194 %".into(), "99900 %".into())
    );
}
