//! What only a GPU can show: that the real model finds there what it finds on the CPU, and what each way of a frame
//! costs. `infer/tensorrt/on-device.sh` builds the engines and runs these.

use super::{TensorRtRunner, Ways};
use crate::detector::{Detector, tests::page};
use crate::model::ModelFile;
use crate::runner::{Picture, Runner};
use hanja_record::{Detection, FrameMeta, FrameRef, PixelFormat, StageName, Topic};
use hanja_ring::{Geometry, now_ns};
use hanja_stage::Stage;
use hanja_stage::config::InferConfig;
use std::time::Duration;

/// Frames that are measured, after as many tenths to warm up.
const FRAMES: usize = 500;
/// Overlap of the same box from GPU and CPU, at least; difference of its score, at most. Half precision moves both.
const LEAST_OVERLAP: f32 = 0.9;
const MOST_SCORE: f32 = 0.05;

fn config(backend: &str, model: &str) -> InferConfig {
    InferConfig {
        backend: backend.into(),
        model: Some(model.into()),
        // An engine has one input size.
        coarse_size: Some(0),
        ..InferConfig::default()
    }
}

fn overlap(a: &Detection, b: &Detection) -> f32 {
    let area = |d: &Detection| (d.x2 - d.x1) * (d.y2 - d.y1);
    let (w, h) = (
        a.x2.min(b.x2) - a.x1.max(b.x1),
        a.y2.min(b.y2) - a.y1.max(b.y1),
    );
    let both = w.max(0.0) * h.max(0.0);
    both / (area(a) + area(b) - both)
}

#[test]
#[ignore = "needs a GPU and TensorRT; infer/tensorrt/on-device.sh runs it"]
fn on_device_the_gpu_finds_what_the_cpu_finds() {
    let (grey, places) = page();
    let frame = FrameRef {
        format: PixelFormat::Grey,
        width: 640,
        height: 480,
        stride: 640,
        bytes: &grey,
    };
    for model in ["hanja-pico", "hanja-n"] {
        let detect = |backend| {
            let mut detector = Detector::load(&config(backend, model)).unwrap();
            println!("{}", detector.model_info());
            detector.detect(&frame).unwrap().detections.clone()
        };
        let (gpu, cpu) = (detect("tensorrt"), detect("rten"));
        assert!(cpu.len() + 1 >= places.len(), "{cpu:?}");
        assert_eq!(gpu.len(), cpu.len(), "GPU {gpu:?}, CPU {cpu:?}");
        let (mut least, mut most) = (1.0f32, 0.0f32);
        for c in &cpu {
            let best = gpu
                .iter()
                .filter(|g| g.class == c.class)
                .max_by(|a, b| overlap(a, c).total_cmp(&overlap(b, c)));
            let best = best.unwrap_or_else(|| panic!("the GPU misses {c:?}: {gpu:?}"));
            least = least.min(overlap(best, c));
            most = most.max((best.score - c.score).abs());
        }
        println!(
            "{model}: {} boxes, overlap at least {least:.3}, scores differ by {most:.4} at most",
            cpu.len()
        );
        assert!(least >= LEAST_OVERLAP && most <= MOST_SCORE);
    }
}

/// From the lease to the candidates, for one frame after the other, milliseconds.
fn latencies(ways: Ways, model: &str) -> Vec<f64> {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
    let (grey, _) = page();
    // As a camera sends it: YUYV, 600 KiB.
    let bytes: Vec<u8> = grey.iter().flat_map(|luma| [*luma, 128]).collect();
    let geometry = Geometry {
        slots: 8,
        meta_len: size_of::<FrameMeta>() as u32,
        payload_capacity: bytes.len() as u64,
    };
    let mut publisher = stage.publisher(Topic::Frames, geometry).unwrap();
    let mut frames = Topic::Frames.lease(dir.path(), StageName::Capture, 3);
    let file = ModelFile::open(Some(model.as_ref())).unwrap();
    let mut runner =
        TensorRtRunner::load_with(&file, &config("tensorrt", model), ways).expect("an engine");
    let (mut times, mut candidates) = (Vec::new(), Vec::new());
    for _ in 0..FRAMES + FRAMES / 10 {
        let stamp = publisher.publish(&[&bytes], |stamp| {
            let mut meta = FrameMeta::zeroed();
            (meta.generation, meta.seq) = (stamp.generation, stamp.seq);
            meta.fourcc = PixelFormat::Yuyv.fourcc();
            (meta.width, meta.height, meta.stride) = (640, 480, 1280);
            meta.bytes_used = bytes.len() as u64;
            meta
        });
        stamp.unwrap().expect("a free slot");
        let lease = frames.newest(Duration::from_secs(5)).expect("a frame");
        let started = now_ns();
        runner.submit(Picture::Leased(lease)).unwrap();
        runner.finish(&mut candidates).unwrap();
        times.push((now_ns() - started) as f64 / 1e6);
        assert!(!candidates.is_empty());
    }
    times.drain(..FRAMES / 10);
    times.sort_by(f64::total_cmp);
    times
}

#[test]
#[ignore = "needs a GPU and TensorRT; infer/tensorrt/on-device.sh runs it"]
fn on_device_latency() {
    for model in ["hanja-pico", "hanja-n"] {
        for (graphs, zero_copy) in [(true, true), (false, true), (true, false), (false, false)] {
            let times = latencies(Ways { graphs, zero_copy }, model);
            let at = |share: usize| times[(times.len() - 1) * share / 100];
            println!(
                "{model}, graphs {graphs}, zero copy {zero_copy}: p50 {:.3} ms, p99 {:.3} ms",
                at(50),
                at(99)
            );
        }
    }
}
