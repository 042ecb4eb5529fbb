//! The infer stage: the newest frame, its detections, the next. Every frame it takes gets a record, whatever became
//! of it; every frame it passes over is counted.

use crate::detector::{Detector, Loaded};
use crate::error::InferError;
use crate::preprocess::PreprocessError;
use crate::runner::Picture;
use crate::upgrade::{News, Upgrade};
use hanja_common::LeaseSubscriber;
use hanja_common::balance::RecordBalance;
use hanja_common::clock::now_ns;
use hanja_common::config::InferConfig;
use hanja_common::record::{
    Backend, DetectionRecord, FrameFlags, FrameMeta, MAX_DETECTIONS, Status, Times,
};
use hanja_common::ring::{Geometry, Lease, Slot, Topic};
use hanja_common::stage::{Publisher, Stage, StageName};
use hanja_common::telemetry::{Drops, Reason, Reporter};
use std::collections::VecDeque;
use std::time::Duration;

/// Detection records to keep for taps: two seconds at 30 fps.
const RECORDS: u32 = 64;
/// Two frames under way, one being taken while the lease of the first ends.
const QUOTA: u32 = 3;
/// Longest wait for a frame while there is none under way.
const IDLE: Duration = Duration::from_millis(100);
/// The same while the GPU is at one: how late its end may be noticed. Looked at again and again rather than waited for:
/// the next frame may come first, and the driver's own wait has no limit, so that a GPU that hangs would take the stage
/// with it past its watchdog.
const LOOK: Duration = Duration::from_micros(200);

/// Runs until the stage is told to stop. Capture may come, go and come back.
///
/// # Errors
/// The model cannot be loaded, or the backend fails: the supervisor starts the stage again. Frames under way are lost
/// then; none of them gets a record that says it was looked at.
pub fn run(stage: &Stage, config: &InferConfig) -> Result<(), InferError> {
    let (detector, upgrade) = first_detector(config)?;
    serve(stage, config, detector, upgrade)
}

fn serve(
    stage: &Stage,
    config: &InferConfig,
    detector: Detector,
    upgrade: Option<Upgrade>,
) -> Result<(), InferError> {
    let info = detector.model_info().clone();
    tracing::info!("model {info}");
    for (backend, reason) in &info.passed_over {
        tracing::info!("backend {backend} not taken: {reason}");
    }
    let mut worker = Worker::new(stage, config, detector, upgrade)?;
    worker.announce_backend();
    stage.ready(&info.to_string());
    worker.work(stage)
}

/// The best detector to begin with, and what may become of it.
fn first_detector(config: &InferConfig) -> Result<(Detector, Option<Upgrade>), InferError> {
    let (mut detector, job) = match Detector::load_now(config)? {
        Loaded::Ready(detector, None) => return Ok((*detector, None)),
        Loaded::Ready(detector, Some(job)) => (*detector, job),
        Loaded::NotBuilt(job) => (Detector::load_cpu(config)?, job),
    };
    match Upgrade::start(&job, config) {
        Ok(upgrade) => Ok((detector, Some(upgrade))),
        Err(e) if config.backend == Backend::TensorRt.name() => Err(Box::new(e).into()),
        Err(e) => {
            // Loud: on this machine every start would be slow.
            tracing::error!("TensorRT stays unused: {e}");
            detector.say_of_tensorrt(e.to_string());
            Ok((detector, None))
        }
    }
}

struct Worker {
    detector: Detector,
    publisher: Publisher,
    reporter: Reporter,
    /// The record being written; its totals are those of the last one published.
    record: DetectionRecord,
    bytes: Vec<u8>,
    /// A frame of a ring that others may write to.
    copy: Vec<u8>,
    /// Generation and number of the last frame taken.
    last: (u64, u64),
    /// Frames taken whose records are not out, oldest first.
    pending: VecDeque<Pending>,
    balance: RecordBalance,
    drops: Drops,
    /// `conf` and `iou` as last configured.
    thresholds: (Option<f32>, f32),
    upgrade: Option<Upgrade>,
    /// TensorRT was asked for by name: without it the stage ends.
    tensorrt_or_nothing: bool,
}

/// A frame that was taken.
struct Pending {
    /// What is known of it.
    frame: FrameMeta,
    times: Times,
    size: (u32, u32),
    fate: Fate,
    /// Frames passed over between the one before and this.
    passed_over: u64,
}

enum Fate {
    /// With the detector.
    UnderWay,
    NoSignal,
    Undecodable,
}

impl Worker {
    fn new(
        stage: &Stage,
        config: &InferConfig,
        detector: Detector,
        upgrade: Option<Upgrade>,
    ) -> Result<Self, InferError> {
        let geometry = Geometry {
            slots: RECORDS,
            meta_len: 0,
            payload_capacity: DetectionRecord::MAX_BYTES as u64,
        };
        let publisher = stage.publisher(Topic::Detections, geometry)?;
        let mut reporter = Reporter::new(stage, &detector.model_info().to_string())?;
        reporter.stats_mut().generation = publisher.next().generation;
        let mut record = DetectionRecord::default();
        record.detections.reserve(MAX_DETECTIONS);
        Ok(Self {
            detector,
            publisher,
            reporter,
            record,
            bytes: Vec::with_capacity(DetectionRecord::MAX_BYTES),
            copy: Vec::new(),
            last: (0, 0),
            pending: VecDeque::with_capacity(QUOTA as usize),
            balance: RecordBalance::default(),
            drops: Drops::default(),
            thresholds: (config.conf, config.iou),
            upgrade,
            tensorrt_or_nothing: config.backend == Backend::TensorRt.name(),
        })
    }

    fn work(mut self, stage: &Stage) -> Result<(), InferError> {
        let (dir, capture) = (stage.runtime_dir(), StageName::Capture);
        let mut frames = LeaseSubscriber::new(dir, capture, Topic::Frames, QUOTA);
        while !stage.stopping() {
            self.go_over()?;
            if self.turn(&mut frames)? {
                stage.alive();
            }
            stage.reload(|config| self.retune(&config.infer));
        }
        self.give(true)?;
        self.reporter.finish();
        Ok(())
    }

    /// Takes a frame, if there is one and room for it, and gives what is done. (D12) Once a picture of each size was seen,
    /// nothing of ours allocates here on the way over the CPU; on that over the GPU, two boxes a frame hold its lease and
    /// its place in the ring until they have been read. True: it got on, or there was nothing to do.
    fn turn(&mut self, frames: &mut LeaseSubscriber) -> Result<bool, InferError> {
        let wait = if self.pending.is_empty() { IDLE } else { LOOK };
        if self.detector.room() > 0
            && let Some(lease) = frames.newest(wait)
        {
            self.take(lease)?;
        }
        let handled = self.give(false)?;
        self.reporter.tick();
        self.drops.tick();
        // A frame that is under way is no excuse, and neither is one that is there and cannot be had.
        Ok(handled || (self.pending.is_empty() && frames.is_idle()))
    }

    /// Starts a frame.
    fn take(&mut self, lease: Lease) -> Result<(), InferError> {
        let acquired = now_ns();
        let meta = lease.frame_meta();
        let seq = (lease.generation(), lease.seq());
        let mut pending = Pending {
            frame: meta,
            times: Times {
                sensor: meta.t_sensor,
                dequeued: meta.t_dequeued,
                published: meta.t_published,
                acquired,
                ..Times::default()
            },
            size: (meta.width, meta.height),
            fate: Fate::UnderWay,
            passed_over: self.passed_over(seq),
        };
        let words = || "a newer frame was there already".into();
        self.drops.count(Reason::Busy, pending.passed_over, words);
        // What the ring says, whatever the metadata claims.
        (pending.frame.generation, pending.frame.seq) = seq;
        if meta.has(FrameFlags::NO_SIGNAL) {
            pending.fate = Fate::NoSignal;
            let words = || "capture has no picture, see its log".into();
            self.drops.count(Reason::NoSignal, 1, words);
        } else {
            match self.submit(lease, &meta) {
                Ok(size) => {
                    pending.size = size;
                    pending.times.preprocessed = now_ns();
                    pending.times.submitted = now_ns();
                }
                Err(InferError::Picture(why)) => {
                    pending.fate = Fate::Undecodable;
                    let words = || format!("frame {}: {why}", seq.1);
                    self.drops.count(Reason::Undecodable, 1, words);
                }
                Err(e) => return Err(e),
            }
        }
        self.pending.push_back(pending);
        Ok(())
    }

    /// Hands the detector a frame: where it lies, if nobody but capture can write there, else a copy of it.
    fn submit(&mut self, lease: Lease, meta: &FrameMeta) -> Result<(u32, u32), InferError> {
        if lease.is_sealed() {
            return self.detector.submit(Picture::Leased(lease));
        }
        lease.copy_payload(&mut self.copy);
        drop(lease);
        let frame = meta.frame(&self.copy);
        let frame = frame.ok_or(PreprocessError::Format(meta.fourcc))?;
        self.detector.submit(Picture::Bytes(frame))
    }

    /// Publishes the records of all frames that are done, in the order in which they were taken; of `all` frames, even
    /// if some have to be waited for. Waits for one as well if no other could be started meanwhile.
    /// True: there were some.
    fn give(&mut self, all: bool) -> Result<bool, InferError> {
        let mut some = false;
        while let Some(oldest) = self.pending.front() {
            let wait = all || self.detector.room() == 0;
            if matches!(oldest.fate, Fate::UnderWay) && !wait && !self.detector.is_done()? {
                break;
            }
            if let Some(oldest) = self.pending.pop_front() {
                self.finish(oldest)?;
                some = true;
            }
        }
        Ok(some)
    }

    /// Takes what a reload can change; gives the keys.
    fn retune(&mut self, config: &InferConfig) -> Vec<&'static str> {
        self.thresholds = (config.conf, config.iou);
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.set_thresholds(config.conf, config.iou);
        }
        self.detector.set_thresholds(config.conf, config.iou);
        vec!["infer.conf", "infer.iou"]
    }

    /// Everything that is left to do about a frame.
    fn finish(&mut self, pending: Pending) -> Result<(), InferError> {
        let Pending {
            frame,
            mut times,
            size,
            fate,
            passed_over,
        } = pending;
        self.record.detections.clear();
        let header = &mut self.record.header;
        (header.frame_generation, header.frame_seq) = (frame.generation, frame.seq);
        header.driver_seq = frame.driver_seq;
        (header.frame_width, header.frame_height) = size;
        (header.candidates, header.suppressed, header.capped) = (0, 0, 0);
        let skipped = &mut header.skipped_busy_total;
        *skipped = skipped.saturating_add(passed_over);
        match fate {
            Fate::NoSignal => {
                header.status = Status::NoSignal as u16;
                header.skipped_no_signal_total += 1;
            }
            Fate::Undecodable => {
                header.status = Status::Undecodable as u16;
                header.skipped_undecodable_total += 1;
            }
            Fate::UnderWay => {
                let output = self.detector.infer()?;
                times.submitted = output.begun.unwrap_or(times.submitted);
                times.inferred = output.inferred;
                let found = self.detector.collect()?;
                header.status = Status::Ok as u16;
                header.inferred_total += 1;
                (header.candidates, header.suppressed, header.capped) =
                    (found.candidates, found.suppressed, found.capped);
                self.record.detections.extend_from_slice(&found.detections);
                times.postprocessed = now_ns();
            }
        }
        self.record.header.times = times;
        self.publish()
    }

    /// Frames between the last one taken and this; now this is the last one.
    fn passed_over(&mut self, (generation, seq): (u64, u64)) -> u64 {
        let before = std::mem::replace(&mut self.last, (generation, seq));
        // Frames before the first one seen are not ours to count: nobody knows who had them.
        if before.0 == generation {
            seq.saturating_sub(before.1 + 1)
        } else {
            0
        }
    }

    fn publish(&mut self) -> Result<(), InferError> {
        let stamp = self.publisher.next();
        let header = &mut self.record.header;
        (header.generation, header.seq) = (stamp.generation, stamp.seq);
        let (record, bytes) = (&mut self.record, &mut self.bytes);
        let len = record.encoded_len() as u64;
        // With a slot at hand, and some microseconds before it is seen.
        let fill = |slot: &mut Slot<'_>| {
            record.header.times.detections_published = now_ns();
            record.encode_into(bytes);
            slot.write(0, bytes);
        };
        // Nobody leases records, so there is always a free slot.
        self.publisher.publish_with(len, fill, |_| ())?;
        let times = self.record.header.times;
        self.measure(&times);
        self.reporter.frame(times.sensor);
        if self.reporter.on() {
            self.reporter.check(self.balance.check(&self.record.header));
        }
        let (header, stats) = (self.record.header, self.reporter.stats_mut());
        stats.detections_total = stats.detections_total.saturating_add(header.count.into());
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

    /// To TensorRT, once it is ready. Frames under way are finished where they were begun, and none is passed over.
    fn go_over(&mut self) -> Result<(), InferError> {
        let Some(upgrade) = &mut self.upgrade else {
            return Ok(());
        };
        match upgrade.poll() {
            News::Progress(words) => {
                self.detector.say_of_tensorrt(words);
                self.reporter
                    .set_words(&self.detector.model_info().choice());
            }
            News::Failed(why) if self.tensorrt_or_nothing => {
                return Err(InferError::Backend {
                    name: Backend::TensorRt.name().into(),
                    reason: why,
                });
            }
            News::Failed(why) => {
                tracing::error!("TensorRT stays unused: {why}");
                self.upgrade = None;
                self.detector.say_of_tensorrt(why);
                self.announce_backend();
            }
            News::Ready(detector) => {
                self.give(true)?;
                self.upgrade = None;
                self.detector = *detector;
                // Those of a reload that came while it was being loaded.
                let (conf, iou) = self.thresholds;
                self.detector.set_thresholds(conf, iou);
                let info = self.detector.model_info();
                tracing::info!("from the next frame on: {info}");
                self.announce_backend();
            }
        }
        Ok(())
    }

    /// Who computes, in every record from now on and in the statistics.
    fn announce_backend(&mut self) {
        let info = self.detector.model_info();
        self.record.header.model_id = info.id;
        self.record.header.backend = info.backend as u16;
        self.reporter.stats_mut().backend = info.backend as u16;
        self.reporter.set_words(&info.choice());
    }
}

#[cfg(test)]
mod allocation;
#[cfg(test)]
mod tests;
