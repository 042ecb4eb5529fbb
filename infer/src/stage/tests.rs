//! The stage between a made-up capture and a tap, in one process.

use super::*;
use hanja_record::PixelFormat;
use hanja_ring::{Sample, Stamp};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const LONG: Duration = Duration::from_secs(10);

/// Capture as far as infer can tell.
pub(super) struct Camera {
    publisher: Publisher,
    // After the publisher: the sockets go last.
    _stage: Stage,
}

impl Camera {
    pub(super) fn new(dir: &Path) -> Self {
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
            payload_capacity: 2 * width * height,
        }
    }

    /// Publishes a frame of this format, all of one value.
    pub(super) fn publish_as(&mut self, format: PixelFormat) {
        let (width, height) = (64, 48);
        let stride = format.min_stride(width);
        let bytes = [128; 2 * 64 * 48];
        let bytes = &bytes[..format.frame_bytes(stride, width, height) as usize];
        let sensor = now_ns();
        let stamp = self.publisher.publish(&[bytes], |stamp| FrameMeta {
            generation: stamp.generation,
            seq: stamp.seq,
            driver_seq: stamp.seq,
            fourcc: format.fourcc(),
            width,
            height,
            stride,
            bytes_used: bytes.len() as u64,
            t_sensor: sensor,
            t_dequeued: sensor,
            t_published: now_ns(),
            ..FrameMeta::zeroed()
        });
        stamp.unwrap().expect("a free slot");
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
        let mut tap = Topic::Detections.tap(dir.path(), StageName::Infer);
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

/// A model that does not come back as long as it is told not to.
#[derive(Debug)]
struct Wedged {
    inner: Box<dyn crate::runner::Runner>,
    wedged: Arc<AtomicBool>,
    /// Whether it has been asked, and hangs.
    hangs: Arc<AtomicBool>,
}

impl crate::runner::Runner for Wedged {
    fn set_conf(&mut self, conf: f32) {
        self.inner.set_conf(conf);
    }

    fn kind(&self) -> Backend {
        self.inner.kind()
    }
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn facts(&self) -> &crate::model::Facts {
        self.inner.facts()
    }
    fn keep_luma(&mut self) {
        self.inner.keep_luma();
    }
    fn luma(&self) -> Option<&crate::preprocess::Luma> {
        self.inner.luma()
    }
    fn depth(&self) -> usize {
        self.inner.depth()
    }
    fn submit(&mut self, picture: Picture<'_>) -> Result<crate::preprocess::Letterbox, InferError> {
        self.inner.submit(picture)
    }
    fn is_done(&mut self) -> Result<bool, InferError> {
        self.inner.is_done()
    }
    fn finish(
        &mut self,
        candidates: &mut Vec<crate::nms::ScoredBox>,
    ) -> Result<crate::runner::Output, InferError> {
        while self.wedged.load(Ordering::Relaxed) {
            self.hangs.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
        self.inner.finish(candidates)
    }
    fn bare_loop(&mut self, runs: usize) -> Result<Vec<u64>, InferError> {
        self.inner.bare_loop(runs)
    }
}

/// The watchdog is fed while there is nothing to do and by every frame done; a backend that hangs starves it.
#[test]
fn a_backend_that_hangs_is_no_progress() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Infer, dir.path()).unwrap();
    let (stop, wedged) = (stage.stop_flag(), Arc::new(true.into()));
    let hangs = Arc::new(AtomicBool::new(false));
    let config = InferConfig {
        backend: "rten".into(),
        size: 64,
        threads: Some(1),
        ..InferConfig::default()
    };
    let detector = Detector::load(&config).unwrap().wrapped(|inner| {
        let (wedged, hangs) = (Arc::clone(&wedged), Arc::clone(&hangs));
        Box::new(Wedged {
            inner,
            wedged,
            hangs,
        })
    });
    let until = |what: &str, done: &dyn Fn(u64) -> bool| {
        let started = std::time::Instant::now();
        while !done(stage.progress()) {
            assert!(started.elapsed() < LONG, "{what}: {}", stage.progress());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| serve(&stage, &config, detector, None));
        until("no capture is no failure", &|n| n >= 3);
        let mut camera = Camera::new(dir.path());
        let attached = stage.progress();
        until("nor is a silent one", &|n| n >= attached + 3);
        camera.publish((64, 48), 0, |_| ());
        until("it has the frame, and hangs", &|_| {
            hangs.load(Ordering::Relaxed)
        });
        let hung = stage.progress();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(stage.progress(), hung);
        wedged.store(false, Ordering::Relaxed);
        until("it goes on", &|n| n > hung);
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap().unwrap();
    });
}

/// A reload takes the thresholds at once.
#[test]
fn thresholds_can_be_changed_while_it_runs() {
    let config = InferConfig {
        backend: "rten".into(),
        size: 64,
        threads: Some(1),
        ..InferConfig::default()
    };
    let mut detector = Detector::load(&config).unwrap();
    let frame = hanja_record::FrameRef {
        format: PixelFormat::Grey,
        width: 64,
        height: 64,
        stride: 64,
        bytes: &(0..64 * 64).map(|n| (n * 37) as u8).collect::<Vec<_>>(),
    };
    let mut candidates = |conf| {
        detector.set_thresholds(Some(conf), 0.45);
        detector.detect(&frame).unwrap().candidates
    };
    let (many, few) = (candidates(0.000_1), candidates(0.999_9));
    assert!(many > few, "{many} {few}");
}
