//! The stage from outside, through its sockets.

mod allocation;

use super::*;
use hanja_record::{StageName, StageStats};
use hanja_ring::{Sample, TapSubscriber};
use std::path::Path;
use std::sync::atomic::Ordering;
use zerocopy::FromBytes;

const LONG: Duration = Duration::from_secs(5);

fn with_stage(source: &str, check: impl FnOnce(&Path)) -> Result<(), CaptureError> {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
    let stop = stage.stop_flag();
    let config = CaptureConfig {
        source: source.into(),
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&stage, &config, Patience::Fail));
        check(dir.path());
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap()
    })
}

fn next_frame(tap: &mut TapSubscriber, sample: &mut Sample) -> FrameMeta {
    assert!(tap.next(sample, LONG), "no frame");
    FrameMeta::read_from_prefix(&sample.meta).unwrap().0
}

#[test]
fn synth_frames_and_their_truth_belong_together() {
    with_stage("synth:?size=160x120&fps=100&glyphs=2&truth=1", |dir| {
        let mut frames = Topic::Frames.tap(dir, StageName::Capture);
        let mut truths = Topic::Truth.tap(dir, StageName::Capture);
        let (mut sample, mut last) = (Sample::default(), 0);
        for _ in 0..10 {
            let meta = next_frame(&mut frames, &mut sample);
            assert!(
                meta.seq > last
                    && meta.t_sensor <= meta.t_dequeued
                    && meta.t_dequeued <= meta.t_published
            );
            assert_eq!(
                (meta.format(), meta.width, meta.stride),
                (Some(PixelFormat::Yuyv), 160, 320)
            );
            assert_eq!(sample.payload.len(), 160 * 120 * 2);
            last = meta.seq;
        }
        assert!(truths.next(&mut sample, LONG));
        let truth = DetectionRecord::from_bytes(&sample.payload).unwrap();
        assert_eq!(
            (truth.detections.len(), truth.backend()),
            (2, Backend::Truth)
        );
        assert!(truth.header.frame_seq >= 1);
    })
    .unwrap();
}

#[test]
fn a_frame_of_another_size_begins_a_new_generation() {
    let pictures = tempfile::tempdir().unwrap();
    image::RgbImage::new(40, 20)
        .save(pictures.path().join("a.png"))
        .unwrap();
    image::RgbImage::new(80, 20)
        .save(pictures.path().join("b.png"))
        .unwrap();
    with_stage(
        &format!("dir:{}?fps=20", pictures.path().display()),
        |dir| {
            let mut frames = Topic::Frames.tap(dir, StageName::Capture);
            let mut sample = Sample::default();
            let first = next_frame(&mut frames, &mut sample);
            let second = loop {
                let meta = next_frame(&mut frames, &mut sample);
                if meta.width != first.width {
                    break meta;
                }
            };
            assert!(second.generation > first.generation);
            assert_eq!(second.seq, 1);
            assert_eq!(
                sample.payload.len() as u32,
                second.width * second.height * 3
            );
        },
    )
    .unwrap();
}

#[test]
fn a_missing_camera_is_one_clear_line() {
    let error = with_stage("v4l2:/dev/video97", |_| {
        std::thread::sleep(Duration::from_millis(50))
    });
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("no camera at /dev/video97; cameras found:") && text.contains("synth:"),
        "{text}"
    );
}

#[test]
fn a_jpeg_that_lies_about_its_size_is_passed_on() {
    // 65535x65535 in the header of a small file, with tables and scan in name: infer judges it.
    let jpeg = b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xc4\x00\x02\xff\xda\x00\x02\xff\xd9";
    let pictures = tempfile::tempdir().unwrap();
    std::fs::write(pictures.path().join("a.jpg"), jpeg).unwrap();
    with_stage(
        &format!("dir:{}?fps=50", pictures.path().display()),
        |dir| {
            let mut frames = Topic::Frames.tap(dir, StageName::Capture);
            let mut sample = Sample::default();
            assert_eq!(next_frame(&mut frames, &mut sample).width, 65535);
            assert_eq!(sample.payload, jpeg);
        },
    )
    .unwrap();
}

#[test]
fn a_pipe_among_pictures_is_left_out() {
    let pictures = tempfile::tempdir().unwrap();
    let fifo = pictures.path().join("a.jpg");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    image::RgbImage::new(40, 20)
        .save(pictures.path().join("b.png"))
        .unwrap();
    with_stage(
        &format!("dir:{}?fps=50", pictures.path().display()),
        |dir| {
            let mut frames = Topic::Frames.tap(dir, StageName::Capture);
            assert_eq!(next_frame(&mut frames, &mut Sample::default()).width, 40);
        },
    )
    .unwrap();
    assert!(with_stage(&format!("file:{}", fifo.display()), |_| ()).is_err());
}

#[test]
fn any_seed_draws() {
    with_stage(
        "synth:?seed=18446744073709551615&size=64x64&fps=50",
        |dir| {
            let mut frames = Topic::Frames.tap(dir, StageName::Capture);
            next_frame(&mut frames, &mut Sample::default());
        },
    )
    .unwrap();
}

/// So many frames, then none; while `wedged`, the call for the next frame does not return, as with a driver that hangs.
struct Script {
    frames: u64,
    wedged: std::sync::Arc<std::sync::atomic::AtomicBool>,
    bytes: Vec<u8>,
}

impl Source for Script {
    fn next(&mut self, _: Duration) -> Result<Event<'_>, SourceError> {
        while self.wedged.load(Ordering::Relaxed) && self.frames == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(5));
        if self.frames == 0 {
            return Ok(Event::Idle);
        }
        self.frames -= 1;
        Ok(Event::Frame(Frame {
            format: PixelFormat::Grey,
            width: 16,
            height: 16,
            stride: 16,
            bytes: &self.bytes,
            driver_seq: 10 - self.frames,
            t_sensor: now_ns(),
            t_dequeued: now_ns(),
            flags: 0,
            truth: &[],
        }))
    }

    fn found(&self) -> Option<&str> {
        Some("auto: /dev/video7")
    }

    fn may_pause(&self) -> bool {
        false
    }
}

/// The statistics name the camera that `auto` has found.
#[test]
fn the_camera_that_was_found_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
    let stop = stage.stop_flag();
    let script = Script {
        frames: 3,
        wedged: std::sync::Arc::default(),
        bytes: vec![0; 256],
    };
    let named = move || NamedSource {
        source: Box::new(script),
        uri: "auto".into(),
        truth: false,
        patience: Patience::Fail,
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| serve(&stage, named()));
        let mut tap = Topic::Stats.tap(dir.path(), StageName::Capture);
        let mut sample = Sample::default();
        assert!(tap.next(&mut sample, LONG));
        let stats = StageStats::from_bytes(&sample.payload).unwrap();
        assert_eq!(stats.what(), "auto: /dev/video7");
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap().unwrap();
    });
}

/// Only frames feed the watchdog: neither a driver that hangs does, nor a camera that is silent without reporting it.
#[test]
fn only_frames_are_progress() {
    for hangs in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
        let (stop, wedged) = (stage.stop_flag(), std::sync::Arc::new(hangs.into()));
        let script = Script {
            frames: 3,
            wedged: std::sync::Arc::clone(&wedged),
            bytes: vec![0; 256],
        };
        let named = move || NamedSource {
            source: Box::new(script),
            uri: "script".into(),
            truth: false,
            patience: Patience::Fail,
        };
        std::thread::scope(|scope| {
            let running = scope.spawn(|| serve(&stage, named()));
            let started = std::time::Instant::now();
            while stage.progress() < 3 && started.elapsed() < LONG {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(
                (stage.progress(), stage.is_ready()),
                (3, true),
                "hangs: {hangs}"
            );
            wedged.store(false, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
            running.join().unwrap().unwrap();
        });
    }
}

/// A service waits for a missing camera: it is ready, publishes flagged frames, and counts as alive.
#[test]
fn a_missing_camera_is_progress_in_flagged_frames() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
    let stop = stage.stop_flag();
    let config = CaptureConfig {
        source: "v4l2:/dev/video97".into(),
    };
    assert!(
        run(&stage, &config, Patience::Fail).is_err(),
        "by hand it is an error"
    );
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&stage, &config, Patience::Wait));
        let mut frames = Topic::Frames.tap(dir.path(), StageName::Capture);
        let mut sample = Sample::default();
        for _ in 0..2 {
            let meta = next_frame(&mut frames, &mut sample);
            assert!(meta.has(hanja_record::FrameFlags::NO_SIGNAL));
        }
        assert!(stage.is_ready() && stage.progress() >= 1);
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap().unwrap();
    });
}
