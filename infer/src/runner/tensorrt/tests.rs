//! The detector over the GPU's path and over the CPU's, on a model that both have: the same boxes. The driver is the
//! fake one and so is TensorRT, which a C++ compiler makes from NVIDIA's headers: `ci/tensorrt.sh` runs this.

use crate::backend::{CpuBackend, Input, Predictions};
use crate::detector::Detector;
use crate::error::InferError;
use crate::model::{Facts, ModelFile};
use crate::runner::CpuRunner;
use hanja_cuda_fake::{Driver, in_child_with};
use hanja_record::{Detection, FrameRef, PixelFormat};
use hanja_stage::config::InferConfig;
use hanja_tensorrt_fake::{DARK, Fake, Kind, plan};
use image::codecs::jpeg::JpegEncoder;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::ops::Range;

/// Width and height of the model's input.
const INPUT: (usize, usize) = (416, 320);
/// Names the engine's file, for the child.
const ENGINE: &str = "HANJA_TEST_ENGINE";

/// `DARK` of the fake TensorRT, on the CPU.
#[derive(Debug)]
struct Dark {
    facts: Facts,
    rows: Vec<f32>,
}

impl Dark {
    fn new() -> Self {
        let facts = Facts {
            fixed: Some((INPUT.1, INPUT.0)),
            stride: 32,
            names: None,
        };
        let rows = [8, 16, 32].map(|stride| 3 * (INPUT.0 / stride) * (INPUT.1 / stride));
        let rows = vec![0.0; 15 * rows.iter().sum::<usize>()];
        Self { facts, rows }
    }

    fn put(&mut self, row: usize, [left, top, right, bottom]: [f32; 4], objectness: f32) {
        let out = &mut self.rows[15 * row..][..15];
        out.fill(0.1);
        let place = [
            (left + right) / 2.0,
            (top + bottom) / 2.0,
            right - left,
            bottom - top,
            objectness,
        ];
        out[..5].copy_from_slice(&place);
        out[5 + 3] = 1.0;
    }
}

impl CpuBackend for Dark {
    fn kind(&self) -> hanja_record::Backend {
        hanja_record::Backend::Rten
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    fn infer(&mut self, input: Input<'_>) -> Result<Predictions<'_>, InferError> {
        let area = input.width * input.height;
        let dark = |at: &usize| (0..3).all(|plane| input.data[plane * area + at] < 0.3);
        let dark: Vec<usize> = (0..area).filter(dark).collect();
        self.rows.fill(0.0);
        let span = |of: &dyn Fn(usize) -> usize| {
            let all = dark.iter().map(|at| of(*at));
            all.clone().min().zip(all.max())
        };
        let (across, down) = (span(&|at| at % input.width), span(&|at| at / input.width));
        if let (Some((left, right)), Some((top, bottom))) = (across, down) {
            let [l, t, r, b] = [left, top, right + 1, bottom + 1].map(|v| v as f32);
            self.put(7, [l, t, r, b], 0.9);
            self.put(8, [l + 1.0, t + 1.0, r - 1.0, b - 1.0], 0.8);
            self.put(9, [l, t, r, b], 0.3);
        }
        Ok(Predictions {
            data: &self.rows,
            rows: self.rows.len() / 15,
            columns: 15,
        })
    }
}

/// Paper with a dark rectangle, as a camera of this format sends it.
fn frame_of(
    format: PixelFormat,
    (width, height): (u32, u32),
    x: &Range<u32>,
    y: &Range<u32>,
) -> Vec<u8> {
    let grey = image::GrayImage::from_fn(width, height, |px, py| {
        image::Luma([if x.contains(&px) && y.contains(&py) {
            30
        } else {
            210
        }])
    });
    if format == PixelFormat::Mjpg {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 95)
            .encode_image(&grey)
            .unwrap();
        return bytes;
    }
    let stride = format.min_stride(width);
    let mut bytes = vec![128; format.frame_bytes(stride, width, height) as usize];
    for (px, py, value) in grey.enumerate_pixels() {
        let line = &mut bytes[(py * stride) as usize..];
        match format {
            PixelFormat::Rgb3 => line[3 * px as usize..][..3].fill(value.0[0]),
            PixelFormat::Yuyv => line[2 * px as usize] = value.0[0],
            _ => line[px as usize] = value.0[0],
        }
    }
    bytes
}

fn detect(detector: &mut Detector, frame: &FrameRef<'_>) -> Vec<Detection> {
    let found = detector.detect(frame).unwrap();
    assert_eq!(
        (found.candidates, found.suppressed, found.capped),
        (2, 1, 0)
    );
    found.detections.clone()
}

fn compare() {
    let config = InferConfig {
        backend: "tensorrt".into(),
        engine: std::env::var_os(ENGINE).map(Into::into),
        // What the fake finds is no numeral.
        verify: false,
        agnostic: Some(false),
        ..InferConfig::default()
    };
    let mut gpu = Detector::load(&config).unwrap();
    assert_eq!(gpu.model_info().input, INPUT);
    let runner = CpuRunner::new(Box::new(Dark::new()), &config);
    let file = ModelFile::open(None).unwrap();
    let mut cpu = Detector::with_runner(Box::new(runner), &config, &file).unwrap();
    let mut rng = Pcg64Mcg::seed_from_u64(11);
    for (width, height) in [(640, 480), (639, 481), (161, 99), (1281, 721), (97, 301)] {
        for format in [
            PixelFormat::Yuyv,
            PixelFormat::Nv12,
            PixelFormat::I420,
            PixelFormat::Grey,
            PixelFormat::Rgb3,
            PixelFormat::Mjpg,
        ] {
            let mut range = |most: u32| {
                let first = rng.random_range(0..most / 2);
                first..rng.random_range(first + most / 4..most)
            };
            let (x, y) = (range(width), range(height));
            let bytes = frame_of(format, (width, height), &x, &y);
            let frame = FrameRef {
                format,
                width,
                height,
                stride: format.min_stride(width),
                bytes: &bytes,
            };
            // More than once: from its second frame on, a set runs a graph.
            for _ in 0..3 {
                let (a, b) = (detect(&mut gpu, &frame), detect(&mut cpu, &frame));
                let (a, b) = (a[0], b[0]);
                assert_eq!((a.class, a.score), (b.class, b.score));
                let off = |a: f32, b: f32| (a - b).abs();
                let [gpu, cpu] = [a, b].map(|d| [d.x1, d.y1, d.x2, d.y2]);
                let wanted = [x.start, y.start, x.end, y.end].map(|v| v as f32);
                // A pixel of the input, and what JPEG smears.
                let pixel = 2.0 + 2.0 * (width as f32 / 416.0).max(height as f32 / 320.0);
                for i in 0..4 {
                    assert!(
                        off(gpu[i], cpu[i]) < 0.5 && off(gpu[i], wanted[i]) < pixel,
                        "{format} {width}x{height}: {gpu:?}, CPU {cpu:?}, drawn {wanted:?}"
                    );
                }
            }
            other_thresholds(&mut gpu, &frame);
        }
    }
}

/// As a reload does it: each way from the next picture on, graph or not.
fn other_thresholds(detector: &mut Detector, frame: &FrameRef<'_>) {
    for (conf, candidates) in [(0.85, 1), (0.2, 3), (0.5, 2)] {
        detector.set_thresholds(Some(conf), 0.45);
        for _ in 0..5 {
            assert_eq!(
                detector.detect(frame).unwrap().candidates,
                candidates,
                "{conf}"
            );
        }
    }
}

/// Runs the comparison on a driver that plays `modes` and gives the driver's calls.
fn compared(test: &str, driver: Driver, modes: &str, kind: Kind) -> Option<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let engine = dir.path().join("dark.engine");
    let test = format!("runner::tensorrt::tests::{test}");
    let environment = || {
        let library = Fake::new(kind).model(DARK).build(dir.path()).unwrap();
        let plan = plan(kind, INPUT.1 as i64, INPUT.0 as i64, "");
        std::fs::write(&engine, plan).unwrap();
        let text = |p: &std::path::Path| p.to_str().unwrap().to_owned();
        vec![
            ("HANJA_TENSORRT_LIB".to_owned(), text(&library)),
            (ENGINE.to_owned(), text(&engine)),
        ]
    };
    in_child_with(&test, driver, modes, environment, compare)
}

fn has(calls: &[String], name: &str) -> bool {
    calls.iter().any(|c| c == name)
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn an_integrated_gpu_finds_what_the_cpu_finds() {
    let calls = compared(
        "an_integrated_gpu_finds_what_the_cpu_finds",
        Driver::Current,
        "lazy",
        Kind::Ten,
    );
    if let Some(calls) = calls {
        assert!(has(&calls, "cuGraphLaunch") && has(&calls, "cuMemcpyDtoHAsync_v2"));
    }
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn a_discrete_gpu_finds_what_the_cpu_finds() {
    let calls = compared(
        "a_discrete_gpu_finds_what_the_cpu_finds",
        Driver::Current,
        "discrete,lazy",
        Kind::Eleven,
    );
    if let Some(calls) = calls {
        assert!(has(&calls, "cuGraphLaunch") && has(&calls, "cuMemcpyHtoDAsync_v2"));
    }
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn a_jetson_nano_finds_what_the_cpu_finds() {
    let calls = compared(
        "a_jetson_nano_finds_what_the_cpu_finds",
        Driver::Cuda10_2,
        "no-register,capability:53,lazy",
        Kind::Eight(2),
    );
    if let Some(calls) = calls {
        assert!(!has(&calls, "cuGraphLaunch") && !has(&calls, "cuMemcpyHtoDAsync_v2"));
        // The model, and the filter: no letterbox, which the CPU does.
        assert!(has(&calls, "cuLaunchHostFunc") && has(&calls, "cuLaunchKernel"));
    }
}
