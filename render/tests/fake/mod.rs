//! A capture and an infer that only pretend: moving numerals over paper, their boxes known. Through the real rings.

use hanja_record::{
    Backend, Detection, DetectionRecord, FrameFlags, FrameMeta, MetricId, PixelFormat, StageName,
    Times, Topic,
};
use hanja_ring::{Geometry, Publisher, Stamp, now_ns};
use hanja_stage::Stage;
use hanja_stage::telemetry::Reporter;
use std::error::Error;
use std::path::Path;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;

/// Both fake stages.
pub(crate) struct Fake {
    // Alive as long as their topics.
    _capture: Stage,
    _infer: Stage,
    frames: Publisher,
    records: Publisher,
    reports: [Reporter; 2],
    count: u64,
    bytes: Vec<u8>,
    encoded: Vec<u8>,
}

impl Fake {
    /// Starts both in `dir`.
    pub(crate) fn start(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let capture = Stage::start(StageName::Capture, dir)?;
        let infer = Stage::start(StageName::Infer, dir)?;
        let frames = Geometry {
            slots: 8,
            meta_len: size_of::<FrameMeta>() as u32,
            payload_capacity: u64::from(WIDTH * HEIGHT * 2),
        };
        let records = Geometry {
            slots: 64,
            meta_len: 0,
            payload_capacity: DetectionRecord::MAX_BYTES as u64,
        };
        Ok(Self {
            frames: capture.publisher(Topic::Frames, frames)?,
            records: infer.publisher(Topic::Detections, records)?,
            reports: [
                Reporter::new(&capture, "synth:?size=640x480&fps=30&seed=1&glyphs=3")?,
                Reporter::new(&infer, "hanja-n 416 (embedded)")?,
            ],
            _capture: capture,
            _infer: infer,
            count: 0,
            bytes: Vec::new(),
            encoded: Vec::new(),
        })
    }

    /// Publishes one frame and, unless `silent`, its record.
    pub(crate) fn step(&mut self, silent: bool) -> Result<(), Box<dyn Error>> {
        self.count += 1;
        let found = scene(self.count);
        self.paint(&found);
        // Long enough ago for all the pretended work to have been done since.
        let t = times(now_ns().saturating_sub(20_000_000), self.count);
        let stamp = self.frames.publish(&[&self.bytes], |stamp| FrameMeta {
            generation: stamp.generation,
            seq: stamp.seq,
            driver_seq: self.count,
            fourcc: PixelFormat::Yuyv.fourcc(),
            width: WIDTH,
            height: HEIGHT,
            stride: WIDTH * 2,
            bytes_used: u64::from(WIDTH * HEIGHT * 2),
            flags: FrameFlags::SYNTHETIC,
            t_sensor: t.sensor,
            t_dequeued: t.dequeued,
            t_published: t.published,
            ..FrameMeta::zeroed()
        })?;
        let capture = &mut self.reports[0];
        capture.record(MetricId::Dequeue, t.sensor, t.dequeued);
        capture.record(MetricId::Publish, t.dequeued, t.published);
        capture.frame(t.sensor);
        capture.tick();
        match stamp.filter(|_| !silent) {
            Some(frame) => self.record(frame, found, t),
            None => Ok(()),
        }
    }

    fn record(
        &mut self,
        frame: Stamp,
        detections: Vec<Detection>,
        t: Times,
    ) -> Result<(), Box<dyn Error>> {
        let mut record = DetectionRecord {
            detections,
            ..Default::default()
        };
        let h = &mut record.header;
        let next = self.records.next();
        (h.generation, h.seq) = (next.generation, next.seq);
        (h.frame_generation, h.frame_seq, h.driver_seq) = (frame.generation, frame.seq, self.count);
        (h.frame_width, h.frame_height) = (WIDTH, HEIGHT);
        (h.model_id, h.backend) = (0x00c0_ffee, Backend::Rten as u16);
        h.times = t;
        record.encode_into(&mut self.encoded);
        self.records.publish(&[&self.encoded], |_| ())?;
        let infer = &mut self.reports[1];
        for (id, from, to) in t.infer_metrics() {
            infer.record(id, from, to);
        }
        infer.stats_mut().backend = Backend::Rten as u16;
        infer.set_words("rten; not tensorrt: no GPU");
        infer.stats_mut().skipped_busy_total = self.count / 40;
        infer.frame(t.sensor);
        infer.tick();
        Ok(())
    }

    /// Paper with a soft shade, and ink where the numerals are.
    fn paint(&mut self, found: &[Detection]) {
        self.bytes.clear();
        for y in 0..HEIGHT {
            for x in 0..WIDTH / 2 {
                let shade = 205 - (x / 10 + y / 16) as u8;
                self.bytes.extend([shade, 120, shade, 134]);
            }
        }
        for d in found {
            for (x1, y1, x2, y2) in strokes(d.class) {
                let (w, h) = (d.x2 - d.x1, d.y2 - d.y1);
                self.stroke([d.x1 + x1 * w, d.y1 + y1 * h, d.x1 + x2 * w, d.y1 + y2 * h]);
            }
        }
    }

    fn stroke(&mut self, [x1, y1, x2, y2]: [f32; 4]) {
        for n in 0..=200u8 {
            let t = f32::from(n) / 200.0;
            let (cx, cy) = (
                x1 + (x2 - x1) * t,
                y1 + (y2 - y1) * t + (t * 3.0).sin() * 2.0,
            );
            for dy in -3..=3i32 {
                for dx in -3..=3i32 {
                    let (x, y) = (cx as i32 + dx, cy as i32 + dy);
                    let inside = (0..WIDTH as i32).contains(&x) && (0..HEIGHT as i32).contains(&y);
                    if inside && dx * dx + dy * dy < 11 {
                        self.bytes[((y * WIDTH as i32 + x) * 2) as usize] = 48;
                    }
                }
            }
        }
    }
}

/// Times of a frame whose model ran for about 14 ms.
fn times(sensor: u64, count: u64) -> Times {
    let inferred = sensor + 16_000_000 + count % 7 * 300_000;
    Times {
        sensor,
        dequeued: sensor + 200_000,
        published: sensor + 1_000_000,
        acquired: sensor + 1_400_000,
        preprocessed: sensor + 2_500_000,
        submitted: sensor + 2_550_000,
        inferred,
        postprocessed: inferred + 250_000,
        detections_published: inferred + 280_000,
        ..Default::default()
    }
}

/// Strokes of 一, 二, 三, 十 in a unit square.
fn strokes(class: u16) -> Vec<(f32, f32, f32, f32)> {
    match class {
        0 => vec![(0.05, 0.5, 0.95, 0.48)],
        1 => vec![(0.2, 0.2, 0.8, 0.18), (0.05, 0.8, 0.95, 0.78)],
        2 => vec![
            (0.15, 0.12, 0.85, 0.1),
            (0.22, 0.5, 0.78, 0.48),
            (0.05, 0.88, 0.95, 0.86),
        ],
        _ => vec![(0.05, 0.45, 0.95, 0.42), (0.5, 0.04, 0.5, 0.96)],
    }
}

/// Four numerals wandering about.
fn scene(count: u64) -> Vec<Detection> {
    let t = count as f32 / 40.0;
    let place = |class: u16, cx: f32, cy: f32, size: f32, flat: f32| {
        let (x, y) = (cx + 60.0 * (t + cx).sin(), cy + 40.0 * (t * 0.8 + cy).cos());
        Detection {
            x1: x - size,
            y1: y - size * flat,
            x2: x + size,
            y2: y + size * flat,
            score: 0.86 + 0.1 * (t + cx).cos(),
            class,
            ..Default::default()
        }
    };
    vec![
        place(2, 160.0, 140.0, 48.0, 0.9),
        place(9, 420.0, 150.0, 54.0, 1.0),
        place(1, 250.0, 350.0, 44.0, 0.6),
        place(0, 480.0, 370.0, 42.0, 0.3),
    ]
}
