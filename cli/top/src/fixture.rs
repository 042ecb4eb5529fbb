//! A pipeline that speaks as the real one does, for tests: records as bytes, at times that the test chooses.

use crate::model::{Model, SECOND};
use hanja_record::{
    Backend, Detection, DetectionRecord, FrameMeta, Histogram, Metric, MetricId, PixelFormat,
    StageName, StageStats,
};
use hanja_stage::liveness::{Presence, Process};

/// An hour and a bit after boot.
pub(crate) const NOW: u64 = 4000 * SECOND;
/// When the stages started.
pub(crate) const START: u64 = NOW - 754 * SECOND;

/// Between two frames.
const INTERVAL: u64 = 33_333_333;

/// What a stage does in every second of its life.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) stage: StageName,
    pub(crate) pid: u32,
    pub(crate) started: u64,
    pub(crate) fps: f64,
    /// Cores kept busy.
    pub(crate) cores: f64,
    pub(crate) rss_kib: u32,
    /// Milliseconds of each step.
    pub(crate) steps: Vec<(MetricId, f64)>,
    /// Busy, lost, ring full, undecodable: a second.
    pub(crate) losses: [u64; 4],
    pub(crate) what: String,
    pub(crate) description: String,
    pub(crate) histograms: Vec<(MetricId, Histogram)>,
}

impl Life {
    fn new(stage: StageName, cores: f64, mib: u32, steps: &[(MetricId, f64)]) -> Self {
        Self {
            stage,
            pid: 4710 + stage as u32,
            started: START,
            fps: 30.0,
            cores,
            rss_kib: mib * 1024 + 300,
            steps: steps.to_vec(),
            losses: [0; 4],
            what: String::new(),
            description: String::new(),
            histograms: Vec::new(),
        }
    }

    pub(crate) fn capture() -> Self {
        let steps = [(MetricId::Dequeue, 0.9), (MetricId::Publish, 0.16)];
        Self {
            what: "v4l2:/dev/video0?size=640x480&fps=30".into(),
            ..Self::new(StageName::Capture, 0.04, 9, &steps)
        }
    }

    pub(crate) fn infer() -> Self {
        let steps = [
            (MetricId::Queue, 0.4),
            (MetricId::Preprocess, 1.9),
            (MetricId::Submit, 0.01),
            (MetricId::Inference, 12.3),
            (MetricId::Postprocess, 0.32),
            (MetricId::Announce, 0.02),
            (MetricId::EndToEnd, 16.1),
        ];
        Self {
            what: "hanja-pico 416x320".into(),
            description: "rten; not tensorrt: libnvinfer.so is not there; not onnxruntime: libonnxruntime.so is not there".into(),
            ..Self::new(StageName::Infer, 0.46, 61, &steps)
        }
    }

    pub(crate) fn render() -> Self {
        let steps = [(MetricId::Deliver, 0.21), (MetricId::Present, 2.4)];
        Self {
            what: "http://127.0.0.1:8080".into(),
            ..Self::new(StageName::Render, 0.03, 14, &steps)
        }
    }

    /// The record of time `t`.
    pub(crate) fn record(&mut self, t: u64) -> Vec<u8> {
        let mut s = StageStats::new(self.stage as u16);
        let seconds = t.saturating_sub(self.started) / SECOND;
        s.pid = self.pid;
        (s.t_ns, s.started_ns, s.newest_ns) = (t, self.started, t - SECOND / 60);
        s.generation = 0x18_7c3a_10b0;
        s.fps_milli = (self.fps * 1e3) as u32;
        s.frames_total = (self.fps * seconds as f64) as u64;
        s.rss_kib = self.rss_kib;
        s.cpu_us = (self.cores * seconds as f64 * 1e6) as u64;
        let [busy, lost, full, broken] = self.losses.map(|n| n * seconds);
        (s.skipped_busy_total, s.lost_total) = (busy, lost);
        (s.dropped_total, s.skipped_undecodable_total) = (full, broken);
        if self.stage == StageName::Infer {
            s.backend = Backend::Rten as u16;
        }
        (s.readers, s.leases, s.taps) = match self.stage {
            StageName::Capture => (5, 2, 3),
            StageName::Infer => (4, 0, 4),
            StageName::Render => (2, 0, 2),
        };
        s.set_what(&self.what);
        for (i, (id, ms)) in self.steps.iter().enumerate() {
            let at = self.histograms.iter().position(|(of, _)| of == id);
            let at = at.unwrap_or_else(|| {
                self.histograms.push((*id, Histogram::new()));
                self.histograms.len() - 1
            });
            for n in 0..30 {
                let spread = if n == 29 { 1.6 } else { 1.0 };
                self.histograms[at].1.record_ns((ms * 1e6 * spread) as u64);
            }
            let us = |part: f64| (ms * 1e3 * part) as u32;
            s.metrics[i] = Metric {
                id: *id as u16,
                reserved: 0,
                count: 30,
                p50_us: us(1.0),
                p90_us: us(1.0),
                p99_us: us(1.6),
                max_us: us(1.6),
            };
        }
        let mut bytes = Vec::new();
        let histograms = self.histograms.iter().map(|(id, h)| (*id, h));
        s.encode_into(&self.description, histograms, &mut bytes);
        bytes
    }

    /// Lives in the model from `from` to `to`, a record a second, and is there.
    pub(crate) fn live(&mut self, model: &mut Model, from: u64, to: u64) {
        for t in (from..=to).step_by(SECOND as usize) {
            let bytes = self.record(t);
            model.take_stats(self.stage, &bytes, t);
        }
        let snapshot = model.snapshot_mut(self.stage);
        snapshot.presence = Presence::Attached;
        snapshot.process = Some(Process {
            pid: self.pid as i32,
            age_ns: to.saturating_sub(self.started),
            stopped: false,
        });
    }
}

/// The frame that left the sensor at `t`.
pub(crate) fn frame(t: u64) -> FrameMeta {
    // Numbers that fit the times, whatever the remainder.
    let n = (t.saturating_sub(START) + INTERVAL / 2) / INTERVAL;
    FrameMeta {
        generation: 7,
        seq: n,
        driver_seq: n,
        fourcc: PixelFormat::Yuyv.fourcc(),
        width: 640,
        height: 480,
        stride: 1280,
        bytes_used: 614_400,
        t_sensor: t,
        t_dequeued: t + 900_000,
        t_published: t + 1_060_000,
        t_new_number: t + 900_000,
        t_new_time: t + 900_000,
        t_new_picture: t + 900_000,
        ..FrameMeta::zeroed()
    }
}

/// What infer says of that frame.
pub(crate) fn record(frame: &FrameMeta, found: &[(u16, f32, [f32; 4])]) -> Vec<u8> {
    let mut record = DetectionRecord::default();
    let h = &mut record.header;
    (h.frame_generation, h.frame_seq) = (frame.generation, frame.seq);
    (h.frame_width, h.frame_height) = (frame.width, frame.height);
    h.backend = Backend::Rten as u16;
    h.times.sensor = frame.t_sensor;
    h.times.published = frame.t_published;
    h.times.detections_published = frame.t_sensor + 16_100_000;
    record.detections = found
        .iter()
        .map(|(class, score, [x1, y1, x2, y2])| Detection {
            x1: *x1,
            y1: *y1,
            x2: *x2,
            y2: *y2,
            score: *score,
            class: *class,
            ..Detection::default()
        })
        .collect();
    let mut bytes = Vec::new();
    record.encode_into(&mut bytes);
    bytes
}

/// Three numerals on a desk.
pub(crate) const DESK: [(u16, f32, [f32; 4]); 3] = [
    (2, 0.93, [60.0, 70.0, 190.0, 210.0]),
    (9, 0.88, [300.0, 210.0, 460.0, 390.0]),
    (6, 0.71, [470.0, 40.0, 600.0, 190.0]),
];

/// Frames and detections up to `NOW`.
pub(crate) fn look(model: &mut Model, found: &[(u16, f32, [f32; 4])]) {
    for back in (0..30).rev() {
        let frame = frame(NOW - 12_000_000 - back * INTERVAL);
        model.take_frame(&frame, frame.t_published);
        model.take_found(&record(&frame, found));
    }
}

/// A pipeline in the best of health, watched for a minute and more.
pub(crate) fn healthy() -> Model {
    with(Life::capture(), Life::infer(), Life::render())
}

/// The same of other stages.
pub(crate) fn with(mut capture: Life, mut infer: Life, mut render: Life) -> Model {
    let mut model = Model::new(NOW - 90 * SECOND);
    for (stage, taps) in StageName::ALL.into_iter().zip([2, 2, 1]) {
        model.set_own(stage, taps, NOW - 90 * SECOND);
    }
    for life in [&mut capture, &mut infer, &mut render] {
        life.live(&mut model, NOW - 90 * SECOND, NOW - SECOND / 2);
    }
    look(&mut model, &DESK);
    model
}
