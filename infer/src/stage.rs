//! The infer stage: the newest frame, its detections, the next. Every frame it takes gets a record, whatever became
//! of it; every frame it passes over is counted.

use crate::detector::Detector;
use crate::error::InferError;
use crate::preprocess::PreprocessError;
use hanja_common::LeaseSubscriber;
use hanja_common::clock::now_ns;
use hanja_common::config::InferConfig;
use hanja_common::record::{DetectionRecord, FrameFlags, FrameMeta, FrameRef, Status, Times};
use hanja_common::ring::{Geometry, Lease, Topic};
use hanja_common::stage::{Publisher, Stage, StageName};
use hanja_common::telemetry::Reporter;
use std::time::{Duration, Instant};

/// Detection records to keep for taps: two seconds at 30 fps.
const RECORDS: u32 = 64;
/// One frame in work, one being taken while the lease of the first ends.
const QUOTA: u32 = 2;

/// Runs until the stage is told to stop. Capture may come, go and come back.
///
/// # Errors
/// The model cannot be loaded, or the backend fails: the supervisor starts the stage again.
pub fn run(stage: &Stage, config: &InferConfig) -> Result<(), InferError> {
    let detector = Detector::load(config)?;
    let info = detector.model_info().clone();
    tracing::info!("model {info}");
    for (backend, reason) in &info.passed_over {
        tracing::info!("backend {backend} not taken: {reason}");
    }
    let geometry = Geometry {
        slots: RECORDS,
        meta_len: 0,
        payload_capacity: DetectionRecord::MAX_BYTES as u64,
    };
    let publisher = stage.publisher(Topic::Detections, geometry)?;
    let mut reporter = Reporter::new(stage, &info.to_string())?;
    reporter.stats_mut().backend = info.backend as u16;
    reporter.set_words(&info.choice());
    reporter.stats_mut().generation = publisher.next().generation;
    let mut record = DetectionRecord::default();
    record.header.model_id = info.id;
    record.header.backend = info.backend as u16;
    let bytes = Vec::with_capacity(DetectionRecord::MAX_BYTES);
    let mut worker = Worker {
        detector,
        publisher,
        reporter,
        record,
        bytes,
        last: (0, 0),
        trouble: Trouble::default(),
    };
    stage.ready(&info.to_string());
    let mut frames = LeaseSubscriber::new(
        stage.runtime_dir(),
        StageName::Capture,
        Topic::Frames,
        QUOTA,
    );
    while !stage.stopping() {
        if let Some(lease) = frames.newest(Duration::from_millis(100)) {
            worker.frame(lease)?;
        }
        worker.reporter.tick();
    }
    worker.reporter.finish();
    Ok(())
}

struct Worker {
    detector: Detector,
    publisher: Publisher,
    reporter: Reporter,
    record: DetectionRecord,
    bytes: Vec<u8>,
    /// Generation and number of the last frame taken.
    last: (u64, u64),
    trouble: Trouble,
}

impl Worker {
    fn frame(&mut self, lease: Lease) -> Result<(), InferError> {
        let acquired = now_ns();
        let meta = lease.frame_meta();
        self.count_skipped(lease.generation(), lease.seq());
        self.record.detections.clear();
        let header = &mut self.record.header;
        (header.frame_generation, header.frame_seq) = self.last;
        header.driver_seq = meta.driver_seq;
        (header.frame_width, header.frame_height) = (meta.width, meta.height);
        (header.candidates, header.suppressed, header.capped) = (0, 0, 0);
        header.times = Times {
            sensor: meta.t_sensor,
            dequeued: meta.t_dequeued,
            published: meta.t_published,
            acquired,
            ..Times::default()
        };
        if meta.has(FrameFlags::NO_SIGNAL) {
            drop(lease);
            header.status = Status::NoSignal as u16;
            header.skipped_no_signal_total += 1;
        } else {
            self.look(&meta, lease)?;
        }
        self.publish(meta.t_sensor)
    }

    /// Prepares, runs, collects; a frame that cannot be decoded is counted and said.
    fn look(&mut self, meta: &FrameMeta, lease: Lease) -> Result<(), InferError> {
        let Some(format) = meta.format() else {
            drop(lease);
            self.undecodable(&PreprocessError::Format(meta.fourcc));
            return Ok(());
        };
        let frame = FrameRef {
            format,
            width: meta.width,
            height: meta.height,
            stride: meta.stride,
            bytes: lease.payload(),
        };
        let prepared = self.detector.prepare(&frame);
        drop(lease); // the tensor holds the picture now
        let letterbox = match prepared {
            Ok(letterbox) => letterbox,
            Err(InferError::Picture(e)) => {
                self.undecodable(&e);
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let header = &mut self.record.header;
        header.times.preprocessed = now_ns();
        header.times.submitted = now_ns();
        self.detector.run_model()?;
        header.times.inferred = now_ns();
        let found = self.detector.collect();
        header.status = Status::Ok as u16;
        header.inferred_total += 1;
        (header.frame_width, header.frame_height) = letterbox.source;
        (header.candidates, header.suppressed, header.capped) =
            (found.candidates, found.suppressed, found.capped);
        self.record.detections.extend_from_slice(&found.detections);
        header.times.postprocessed = now_ns();
        Ok(())
    }

    fn undecodable(&mut self, why: &PreprocessError) {
        let header = &mut self.record.header;
        header.status = Status::Undecodable as u16;
        header.skipped_undecodable_total += 1;
        self.trouble
            .say(&format!("frame {}: {why}", header.frame_seq));
    }

    fn count_skipped(&mut self, generation: u64, seq: u64) {
        if self.last.0 == generation {
            // Frames before the first one seen are not ours to count: nobody knows who had them.
            let skipped = &mut self.record.header.skipped_busy_total;
            *skipped = skipped.saturating_add(seq.saturating_sub(self.last.1 + 1));
        }
        self.last = (generation, seq);
    }

    fn publish(&mut self, sensor: u64) -> Result<(), InferError> {
        let stamp = self.publisher.next();
        let header = &mut self.record.header;
        (header.generation, header.seq) = (stamp.generation, stamp.seq);
        header.times.detections_published = now_ns();
        let times = header.times;
        self.record.encode_into(&mut self.bytes);
        // Nobody leases records, so there is always a free slot.
        self.publisher.publish(&[&self.bytes], |_| ())?;
        self.measure(&times);
        self.reporter.frame(sensor);
        let (header, stats) = (self.record.header, self.reporter.stats_mut());
        stats.skipped_busy_total = header.skipped_busy_total;
        stats.skipped_undecodable_total = header.skipped_undecodable_total;
        stats.skipped_no_signal_total = header.skipped_no_signal_total;
        Ok(())
    }

    fn measure(&mut self, t: &Times) {
        if t.inferred == 0 {
            return;
        }
        for (id, from, to) in t.infer_metrics() {
            self.reporter.record(id, from, to);
        }
    }
}

/// Warnings about frames, at most one a second; the rest are counted.
#[derive(Debug, Default)]
struct Trouble {
    said: Option<Instant>,
    silent: u64,
}

impl Trouble {
    fn say(&mut self, what: &str) {
        if self
            .said
            .is_some_and(|t| t.elapsed() < Duration::from_secs(1))
        {
            self.silent += 1;
            return;
        }
        if self.silent > 0 {
            tracing::warn!("{what} (and {} more such frames)", self.silent);
        } else {
            tracing::warn!("{what}");
        }
        self.said = Some(Instant::now());
        self.silent = 0;
    }
}

#[cfg(test)]
mod tests;
