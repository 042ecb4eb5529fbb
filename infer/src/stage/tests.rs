//! The stage between a made-up capture and a tap, in one process.

use super::*;
use hanja_common::TapSubscriber;
use hanja_common::record::PixelFormat;
use hanja_common::ring::{Sample, Stamp};
use std::path::Path;
use std::sync::atomic::Ordering;

const LONG: Duration = Duration::from_secs(10);

/// Capture as far as infer can tell.
struct Camera {
    publisher: Publisher,
    // After the publisher: the sockets go last.
    _stage: Stage,
}

impl Camera {
    fn new(dir: &Path) -> Self {
        let stage = Stage::start(StageName::Capture, dir).unwrap();
        let publisher = stage
            .publisher(Topic::Frames, Self::geometry(64, 48))
            .unwrap();
        Self {
            publisher,
            _stage: stage,
        }
    }

    fn geometry(width: u64, height: u64) -> Geometry {
        Geometry {
            slots: 8,
            meta_len: size_of::<FrameMeta>() as u32,
            payload_capacity: width * height,
        }
    }

    /// Publishes a grey frame; `change` spoils its metadata, `cut` bytes are missing.
    fn publish(
        &mut self,
        (width, height): (u32, u32),
        cut: usize,
        change: impl Fn(&mut FrameMeta),
    ) -> Stamp {
        let bytes = vec![200; (width * height) as usize - cut];
        let sensor = now_ns();
        let stamp = self.publisher.publish(&[&bytes], |stamp| {
            let mut meta = FrameMeta::zeroed();
            (meta.generation, meta.seq) = (stamp.generation, stamp.seq);
            meta.driver_seq = 100 + stamp.seq;
            meta.fourcc = PixelFormat::Grey.fourcc();
            (meta.width, meta.height, meta.stride) = (width, height, width);
            meta.bytes_used = bytes.len() as u64;
            (meta.t_sensor, meta.t_dequeued, meta.t_published) = (sensor, sensor, now_ns());
            change(&mut meta);
            meta
        });
        stamp.unwrap().unwrap()
    }
}

/// Runs infer on a small model input while `look` plays capture and reads along.
fn with_infer(look: impl FnOnce(&Path, &mut dyn FnMut() -> DetectionRecord)) {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Infer, dir.path()).unwrap();
    let stop = stage.stop_flag();
    let config = InferConfig {
        backend: crate::detector::test_backend(),
        size: 64,
        threads: Some(1),
        ..InferConfig::default()
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&stage, &config));
        let mut tap = TapSubscriber::new(dir.path(), StageName::Infer, Topic::Detections);
        let mut sample = Sample::default();
        let mut next = || {
            assert!(tap.next(&mut sample, LONG), "no record");
            DetectionRecord::from_bytes(&sample.payload).unwrap()
        };
        look(dir.path(), &mut next);
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap().unwrap();
    });
}

fn status(record: &DetectionRecord) -> u16 {
    record.header.status
}

#[test]
fn every_frame_gets_its_record() {
    with_infer(|dir, next| {
        let mut camera = Camera::new(dir);
        let sent = camera.publish((64, 48), 0, |_| ());
        let record = next();
        let h = &record.header;
        assert_eq!(status(&record), Status::Ok as u16);
        assert_eq!(
            (h.frame_generation, h.frame_seq, h.driver_seq),
            (sent.generation, 1, 101)
        );
        assert_eq!(
            (h.frame_width, h.frame_height, h.inferred_total),
            (64, 48, 1)
        );
        assert_eq!(record.backend().name(), crate::detector::test_backend());
        assert_ne!(h.model_id, 0);
        let t = &h.times;
        let marks = [
            t.sensor,
            t.dequeued,
            t.published,
            t.acquired,
            t.preprocessed,
            t.submitted,
            t.inferred,
            t.postprocessed,
            t.detections_published,
        ];
        assert!(marks[0] > 0 && marks.is_sorted(), "{marks:?}");

        camera.publish((64, 48), 0, |m| m.flags |= FrameFlags::NO_SIGNAL);
        let record = next();
        assert_eq!(
            (status(&record), record.header.times.inferred),
            (Status::NoSignal as u16, 0)
        );
        camera.publish((64, 48), 100, |_| ()); // cut short
        assert_eq!(status(&next()), Status::Undecodable as u16);
        camera.publish((64, 48), 0, |m| m.fourcc = 0x3132_3334);
        assert_eq!(status(&next()), Status::Undecodable as u16);
        camera.publish((64, 48), 0, |m| m.width = 1 << 30);
        assert_eq!(status(&next()), Status::Undecodable as u16);
        camera.publish((64, 48), 0, |_| ());
        let record = next();
        let h = &record.header;
        assert_eq!((status(&record), h.frame_seq), (Status::Ok as u16, 6));
        assert_eq!(
            (
                h.inferred_total,
                h.skipped_undecodable_total,
                h.skipped_no_signal_total
            ),
            (2, 3, 1)
        );
        assert_eq!(h.skipped_busy_total, 0);
    });
}

#[test]
fn what_came_too_fast_is_counted() {
    with_infer(|dir, next| {
        let mut camera = Camera::new(dir);
        camera.publish((64, 48), 0, |_| ());
        let first = next().header;
        let last = (0..50)
            .map(|_| camera.publish((64, 48), 0, |_| ()))
            .last()
            .unwrap();
        let mut h = next().header;
        while h.frame_seq < last.seq {
            h = next().header;
        }
        assert_eq!((first.frame_seq, first.skipped_busy_total), (1, 0));
        assert_eq!(h.inferred_total + h.skipped_busy_total, last.seq, "{h:?}");
        assert!(
            h.skipped_busy_total > 0,
            "50 frames at once cannot all be looked at"
        );
    });
}

#[test]
fn capture_may_change_size_go_and_come_back() {
    with_infer(|dir, next| {
        let mut camera = Camera::new(dir);
        camera.publish((64, 48), 0, |_| ());
        let first = next().header;
        camera.publisher.renew(Camera::geometry(96, 96)).unwrap();
        camera.publish((96, 96), 0, |_| ());
        let second = next().header;
        assert_eq!(
            (second.frame_width, second.frame_height, second.frame_seq),
            (96, 96, 1)
        );
        drop(camera);
        let mut camera = Camera::new(dir);
        camera.publish((64, 48), 0, |_| ());
        let third = next().header;
        assert_eq!(
            (
                third.frame_width,
                third.inferred_total,
                third.skipped_busy_total
            ),
            (64, 3, 0)
        );
        let generations = [first, second, third].map(|h| h.frame_generation);
        assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
    });
}

#[test]
fn a_bad_model_ends_the_stage_with_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Infer, dir.path()).unwrap();
    let config = InferConfig {
        model: Some("/nowhere/m.onnx".into()),
        ..InferConfig::default()
    };
    let error = run(&stage, &config).unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/m.onnx") && !error.contains('\n'),
        "{error}"
    );
    assert!(!stage.is_ready());
}

#[test]
fn warnings_are_one_a_second() {
    let mut trouble = Trouble::default();
    for _ in 0..5 {
        trouble.say("frame 1: cut short");
    }
    assert_eq!(trouble.silent, 4);
}
