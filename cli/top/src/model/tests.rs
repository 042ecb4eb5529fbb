//! The model under records that are good, old, odd and hostile.

use super::*;
use crate::fixture::{Life, NOW, START, frame, healthy, look, with};
use hanja_record::{FrameFlags, Metric, StageStats};
use hanja_stage::liveness::State;
use zerocopy::IntoBytes;

fn heard(life: &mut Life, from: u64, to: u64) -> Model {
    let mut model = Model::new(from);
    life.live(&mut model, from, to);
    model
}

#[test]
fn rates_need_two_records_and_a_stage_that_speaks() {
    let busy = || Life {
        losses: [12, 0, 0, 0],
        ..Life::infer()
    };
    let one = heard(&mut busy(), NOW, NOW);
    let infer = one.stage(StageName::Infer);
    assert_eq!(infer.rate(Count::Busy, NOW), None);
    assert!(infer.current(NOW).is_some());
    let many = heard(&mut busy(), NOW - 20 * SECOND, NOW);
    let infer = many.stage(StageName::Infer);
    assert_eq!(infer.rate(Count::Busy, NOW), Some(12.0));
    assert_eq!(infer.rate(Count::Lost, NOW), Some(0.0));
    assert_eq!(infer.rate(Count::Busy, NOW + 4 * SECOND), None);
}

#[test]
fn totals_go_on_over_restarts_and_begin_again_on_reset() {
    let mut life = Life::capture();
    let mut model = heard(&mut life, NOW - 10 * SECOND, NOW);
    let total = |m: &Model| m.stage(StageName::Capture).totals.get(Count::Frames);
    assert_eq!(total(&model), 754 * 30);
    // It dies and comes back as another process, whose counts begin at 0.
    (life.pid, life.started) = (999, NOW + SECOND);
    life.live(&mut model, NOW + 2 * SECOND, NOW + 5 * SECOND);
    let capture = model.stage(StageName::Capture);
    assert_eq!(capture.restarts, 1);
    assert_eq!(capture.restarted_ns, Some(NOW + 2 * SECOND));
    assert_eq!(total(&model), 754 * 30 + 4 * 30);
    let now = NOW + 5 * SECOND;
    assert_eq!(
        model.stage(StageName::Capture).rate(Count::Frames, now),
        Some(30.0)
    );
    model.reset(now);
    assert_eq!((total(&model), model.since_ns()), (0, Some(now)));
    assert_eq!(model.stage(StageName::Capture).restarts, 0);
    life.live(&mut model, NOW + 6 * SECOND, NOW + 7 * SECOND);
    assert_eq!(total(&model), 60);
}

#[test]
fn a_cell_holds_a_second_and_nothing_where_there_was_none() {
    let mut life = Life::capture();
    let mut model = heard(&mut life, NOW - 20 * SECOND, NOW - 10 * SECOND);
    life.fps = 10.0;
    life.live(&mut model, NOW - 5 * SECOND, NOW);
    let capture = model.stage(StageName::Capture);
    let cells = |now, seconds| capture.cells(now, 12, seconds, f64::min, |s| Some(s.stats.fps()));
    let at = cells(NOW + SECOND, 1);
    assert_eq!(at.len(), 12);
    assert_eq!(at[..2], [Some(30.0), Some(30.0)]);
    // The first after a pause counts for a second and a half: when it began is not known.
    assert_eq!(at[2..5], [None; 3], "{at:?}");
    assert_eq!(at[5..12], [Some(10.0); 7], "{at:?}");
    // Until the next second nothing moves, and two seconds in a cell show the worse.
    assert_eq!(cells(NOW + 3 * SECOND / 2 - 1, 1), at);
    let pairs = cells(NOW + SECOND, 2);
    assert!(
        pairs.contains(&None) && pairs.contains(&Some(30.0)),
        "{pairs:?}"
    );
    assert_eq!(cells(0, 1), [None; 12]);
    assert_eq!(cells(u64::MAX, 5), [None; 12]);
}

#[test]
fn latencies_are_those_of_a_minute_or_of_a_second_where_there_is_no_more() {
    let mut model = healthy();
    let l = model.latency(MetricId::Inference, NOW).unwrap();
    assert_eq!(l.count, 59 * 30);
    assert!(
        (11.0..14.0).contains(&l.p50) && (18.0..22.0).contains(&l.p99),
        "{l:?}"
    );
    assert!(l.p99 <= l.max);
    assert_eq!(model.latency(MetricId::None, NOW), None);
    assert_eq!(model.latency(MetricId::Inference, NOW + 61 * SECOND), None);
    assert_eq!(model.steps(NOW).len(), 10);
    let work = model.infer_ms(NOW).unwrap();
    assert!((14.5..14.6).contains(&work), "{work}");
    // Release 1.0: 640 bytes, no words, no histograms.
    let mut old = StageStats::new(2);
    (old.abi_minor, old.t_ns, old.pid, old.started_ns) = (0, NOW, 1, START);
    old.metrics[0] = Metric {
        id: MetricId::Inference as u16,
        count: 9,
        p50_us: 5000,
        p90_us: 6000,
        p99_us: 7000,
        max_us: 8000,
        ..Metric::default()
    };
    model = Model::new(NOW);
    model.take_stats(StageName::Infer, old.as_bytes(), NOW);
    let l = model.latency(MetricId::Inference, NOW).unwrap();
    assert_eq!((l.count, l.p50, l.p99, l.max), (9, 5.0, 7.0, 8.0));
    assert_eq!(model.stage(StageName::Infer).readers(), Some((0, 0)));
}

#[test]
fn our_own_taps_are_not_counted() {
    let mut life = Life::capture(); // 2 lease, 3 tap
    let mut model = Model::new(NOW);
    life.live(&mut model, NOW, NOW);
    model.set_own(StageName::Capture, 2, NOW + SECOND / 2);
    // That record was written before we were there.
    assert_eq!(model.stage(StageName::Capture).readers(), Some((2, 3)));
    life.live(&mut model, NOW + SECOND, NOW + SECOND);
    assert_eq!(model.stage(StageName::Capture).readers(), Some((2, 1)));
}

#[test]
fn the_frame_rate_is_the_sources_own() {
    let mut model = healthy();
    let ms = model.frame_ms().unwrap();
    assert!((33.2..33.5).contains(&ms), "{ms}");
    // Frames that were not seen count: their numbers are there.
    model.take_frame(&frame(NOW + SECOND), NOW + SECOND);
    let ms = model.frame_ms().unwrap();
    assert!((33.0..34.0).contains(&ms), "{ms}");
    // Grey frames have a pace of their own, and another ring begins anew.
    for s in 2..6 {
        let mut grey = frame(NOW + s * SECOND);
        (grey.flags, grey.generation) = (FrameFlags::NO_SIGNAL, 9);
        model.take_frame(&grey, NOW + s * SECOND);
    }
    let picture = model.picture.as_ref().unwrap();
    assert_eq!(picture.interval_ms, None);
    assert_eq!(picture.no_signal_since, Some(NOW + 2 * SECOND));
    assert_eq!(
        model.liveness(NOW + 5 * SECOND).stages.capture.state,
        State::NoSignal
    );
}

#[test]
fn hostile_bytes_change_nothing_but_a_sentence() {
    let mut model = healthy();
    let before = model.stage(StageName::Infer).newest().copied();
    let mut other = StageStats::new(2);
    other.abi_major = 9;
    model.take_stats(StageName::Infer, other.as_bytes(), NOW);
    assert_eq!(model.stage(StageName::Infer).newest().copied(), before);
    let (stage, why) = model.unreadable().unwrap();
    assert!(
        stage == StageName::Infer && why.contains("ABI version 9"),
        "{why}"
    );
    model.take_found(b"no record");
    assert_eq!(model.found.as_ref().unwrap().record.detections.len(), 3);
    look(&mut model, &[]);
    // Time that runs backwards, and everything at its limit.
    let mut wild = StageStats::new(2);
    (wild.t_ns, wild.started_ns) = (5, u64::MAX);
    (wild.fps_milli, wild.frames_total, wild.cpu_us) = (u32::MAX, u64::MAX, u64::MAX);
    wild.histogram_count = u16::MAX;
    (wild.histogram_len, wild.histograms_at) = (784, u32::MAX);
    for _ in 0..3 {
        model.take_stats(StageName::Infer, wild.as_bytes(), NOW);
        wild.t_ns ^= u64::MAX;
    }
    assert_eq!(model.unreadable(), None);
    model.reset(u64::MAX);
    assert_eq!(model.stage(StageName::Infer).totals.get(Count::Frames), 0);
}

#[test]
fn boxes_that_are_none_are_left_out() {
    let mut model = with(Life::capture(), Life::infer(), Life::render());
    let nan = [f32::NAN, 0.0, 1.0, 1.0];
    look(
        &mut model,
        &[
            (1, 0.5, nan),
            (2, 0.4, [0.0, 0.0, 9.0, 9.0]),
            (3, 0.9, [9.0, 0.0, 1.0, 1.0]),
        ],
    );
    let found = &model.found.as_ref().unwrap().record.detections;
    assert_eq!(found.iter().map(|d| d.class).collect::<Vec<_>>(), [2]);
}

#[test]
fn text_cannot_command_the_terminal() {
    let nasty = "a\u{1b}[2J\u{7}b\n\u{202e}c\u{200b}\u{9b}31m三";
    assert_eq!(clean(nasty), "a [2J b c 31m三");
}
