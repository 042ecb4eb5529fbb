//! The infer stage: takes the newest frame, publishes its detections, and so on. Every frame that it takes gets a record,
//! whatever becomes of the frame; every frame that it passes over is counted.

use crate::detector::Detector;
use crate::error::InferError;
use crate::loader::{self, Loaded};
use crate::preprocess::PreprocessError;
use crate::runner::Picture;
use crate::upgrade::{Upgrade, UpgradeState};
use hanja_record::{
    Backend, DetectionRecord, FrameFlags, FrameMeta, MAX_DETECTIONS, StageName, Status, Times,
    Topic,
};
use hanja_ring::{Geometry, Lease, LeaseSubscriber, Publisher, Slot, now_ns};
use hanja_stage::Stage;
use hanja_stage::accounting::RecordCheck;
use hanja_stage::config::InferConfig;
use hanja_stage::telemetry::{Drops, Reason, Reporter};
use std::collections::VecDeque;
use std::time::Duration;

/// Detection records to keep for taps: two seconds at 30 fps.
const RECORDS: u32 = 64;
/// Two frames under way, one being taken while the lease of the first ends.
const QUOTA: u32 = 3;
/// Longest wait for a frame while there is none under way.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Longest wait for a frame while one is under way on the GPU, and so the most by which its end is noticed late. The stage
/// polls and does not use the driver's own wait: the next frame may come first, and that wait has no limit, so a GPU that
/// hangs would keep the stage from answering its watchdog.
const BUSY_WAIT: Duration = Duration::from_micros(200);

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

/// The best detector that can serve now, and the upgrade to a better one, if there is one to be built.
fn first_detector(config: &InferConfig) -> Result<(Detector, Option<Upgrade>), InferError> {
    let (mut detector, job) = match loader::load_now(config)? {
        Loaded::Ready(detector, None) => return Ok((*detector, None)),
        Loaded::Ready(detector, Some(job)) => (*detector, job),
        Loaded::NotBuilt(job) => (loader::load_cpu(config)?, job),
    };
    match Upgrade::start(&job, config) {
        Ok(upgrade) => Ok((detector, Some(upgrade))),
        Err(e) if config.backend == Backend::TensorRt.name() => Err(Box::new(e).into()),
        Err(e) => {
            // An error in the log: on this machine every start would stay on the CPU.
            tracing::error!("TensorRT stays unused: {e}");
            detector.set_tensorrt_reason(e.to_string());
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
    /// A copy of a frame from a ring that others may write to.
    copy: Vec<u8>,
    /// Generation and number of the last frame taken.
    last: (u64, u64),
    /// Frames taken whose records are not published yet, oldest first.
    pending: VecDeque<Pending>,
    balance: RecordCheck,
    drops: Drops,
    /// `conf` and `iou` as last configured.
    thresholds: (Option<f32>, f32),
    upgrade: Option<Upgrade>,
    /// TensorRT was asked for by name: if it cannot be used, the stage ends.
    tensorrt_required: bool,
}

/// A frame that was taken and has no record yet.
struct Pending {
    /// Its metadata.
    frame: FrameMeta,
    times: Times,
    size: (u32, u32),
    fate: Fate,
    /// Frames passed over between the one before and this.
    passed_over: u64,
}

enum Fate {
    /// The detector has it.
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
            balance: RecordCheck::default(),
            drops: Drops::default(),
            thresholds: (config.conf, config.iou),
            upgrade,
            tensorrt_required: config.backend == Backend::TensorRt.name(),
        })
    }

    fn work(mut self, stage: &Stage) -> Result<(), InferError> {
        let (dir, capture) = (stage.runtime_dir(), StageName::Capture);
        let mut frames = Topic::Frames.lease(dir, capture, QUOTA);
        while !stage.stopping() {
            self.poll_upgrade()?;
            if self.step(&mut frames)? {
                stage.alive();
            }
            stage.reload(|config| self.reload(&config.infer));
        }
        self.drain(true)?;
        self.reporter.finish();
        Ok(())
    }

    /// Takes a frame, if there is one and room for it, and publishes the records of those that are done. (D12) Once a picture
    /// of each size was seen, our own code allocates nothing here on the way over the CPU; on the way over the GPU it
    /// allocates two boxes a frame, which hold the frame's lease and its place in the ring until the GPU has read it.
    /// Returns whether there was progress, or nothing to do.
    fn step(&mut self, frames: &mut LeaseSubscriber) -> Result<bool, InferError> {
        let wait = if self.pending.is_empty() {
            IDLE_WAIT
        } else {
            BUSY_WAIT
        };
        if self.detector.room() > 0
            && let Some(lease) = frames.newest(wait)
        {
            self.submit(lease)?;
        }
        let handled = self.drain(false)?;
        self.reporter.tick();
        self.drops.tick();
        // A frame that is under way is no progress, and neither is one that is there and cannot be attached to.
        Ok(handled || (self.pending.is_empty() && frames.is_idle()))
    }

    /// Starts a frame.
    fn submit(&mut self, lease: Lease) -> Result<(), InferError> {
        let acquired = now_ns();
        let meta = FrameMeta::read(lease.meta());
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
        let message = || "a newer frame was there already".into();
        self.drops.count(Reason::Busy, pending.passed_over, message);
        // The ring's own numbers, whatever the metadata claims.
        (pending.frame.generation, pending.frame.seq) = seq;
        if meta.has(FrameFlags::NO_SIGNAL) {
            pending.fate = Fate::NoSignal;
            let message = || "capture has no picture, see its log".into();
            self.drops.count(Reason::NoSignal, 1, message);
        } else {
            match self.submit_picture(lease, &meta) {
                Ok(size) => {
                    pending.size = size;
                    pending.times.preprocessed = now_ns();
                    pending.times.submitted = now_ns();
                }
                Err(InferError::Picture(why)) => {
                    pending.fate = Fate::Undecodable;
                    let message = || format!("frame {}: {why}", seq.1);
                    self.drops.count(Reason::Undecodable, 1, message);
                }
                Err(e) => return Err(e),
            }
        }
        self.pending.push_back(pending);
        Ok(())
    }

    /// Gives the detector a frame: the slot itself if nobody but capture can write there, else a copy.
    fn submit_picture(&mut self, lease: Lease, meta: &FrameMeta) -> Result<(u32, u32), InferError> {
        if lease.is_sealed() {
            return self.detector.submit(Picture::Leased(lease));
        }
        lease.copy_payload(&mut self.copy);
        drop(lease);
        let frame = meta.frame(&self.copy);
        let frame = frame.ok_or(PreprocessError::Format(meta.fourcc))?;
        self.detector.submit(Picture::Bytes(frame))
    }

    /// Publishes the records of the frames that are done, in the order in which the frames were taken. Waits for a frame if
    /// no other one could be started meanwhile; with `all` waits for every frame. Returns whether it published any.
    fn drain(&mut self, all: bool) -> Result<bool, InferError> {
        let mut published = false;
        while let Some(oldest) = self.pending.front() {
            let wait = all || self.detector.room() == 0;
            if matches!(oldest.fate, Fate::UnderWay) && !wait && !self.detector.is_done()? {
                break;
            }
            if let Some(oldest) = self.pending.pop_front() {
                self.complete(oldest)?;
                published = true;
            }
        }
        Ok(published)
    }

    /// Applies what a reload can change; returns the keys.
    fn reload(&mut self, config: &InferConfig) -> Vec<&'static str> {
        self.thresholds = (config.conf, config.iou);
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.set_thresholds(config.conf, config.iou);
        }
        self.detector.set_thresholds(config.conf, config.iou);
        vec!["infer.conf", "infer.iou"]
    }

    /// Waits for a frame if it is under way, and publishes its record.
    fn complete(&mut self, pending: Pending) -> Result<(), InferError> {
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

    /// How many frames lie between the last one taken and this one, which becomes the last one taken.
    fn passed_over(&mut self, (generation, seq): (u64, u64)) -> u64 {
        let before = std::mem::replace(&mut self.last, (generation, seq));
        // Frames before the first one seen are not counted: a predecessor may have taken them.
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
        // Called when there is a slot: the stamp is taken microseconds before readers can see the record.
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

    /// Switches to TensorRT once it is ready. Frames under way are finished where they were started, and none is passed over.
    fn poll_upgrade(&mut self) -> Result<(), InferError> {
        let Some(upgrade) = &mut self.upgrade else {
            return Ok(());
        };
        match upgrade.poll() {
            UpgradeState::Progress(message) => {
                self.detector.set_tensorrt_reason(message);
                self.reporter
                    .set_words(&self.detector.model_info().choice());
            }
            UpgradeState::Failed(why) if self.tensorrt_required => {
                return Err(InferError::Backend {
                    name: Backend::TensorRt.name().into(),
                    reason: why,
                });
            }
            UpgradeState::Failed(why) => {
                tracing::error!("TensorRT stays unused: {why}");
                self.upgrade = None;
                self.detector.set_tensorrt_reason(why);
                self.announce_backend();
            }
            UpgradeState::Ready(detector) => {
                self.drain(true)?;
                self.upgrade = None;
                self.detector = *detector;
                // A reload may have changed them while the engine was being loaded.
                let (conf, iou) = self.thresholds;
                self.detector.set_thresholds(conf, iou);
                let info = self.detector.model_info();
                tracing::info!("from the next frame on: {info}");
                self.announce_backend();
            }
        }
        Ok(())
    }

    /// Puts the model and the backend into every record from now on, and into the statistics.
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
