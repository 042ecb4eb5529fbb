//! The capture stage: whatever the source delivers goes into the frames ring, with one copy and its times.

use crate::files::{Clip, Dir};
use crate::source::{Event, Frame, Source, SourceError};
use crate::synth::Synth;
use crate::uri::{SourceUri, UriError};
use crate::v4l2::Camera;
use hanja_common::clock::now_ns;
use hanja_common::config::CaptureConfig;
use hanja_common::record::{Backend, DetectionRecord, FrameMeta, MetricId, PixelFormat, Times};
use hanja_common::ring::{Geometry, RingError, Stamp, Topic};
use hanja_common::stage::{Publisher, Stage};
use hanja_common::telemetry::Reporter;
use std::time::Duration;

/// One written, one newest, two leased by infer, three by render, one to spare.
const SLOTS: u32 = 8;
/// First slot size for JPEGs, at most: a full HD picture of good quality takes a quarter of it.
const MJPG_SLOT: u64 = 4 << 20;
const WAIT: Duration = Duration::from_millis(50);

/// Why capture ends.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The source's name.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Shared memory.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// Runs until the stage is told to stop or the source ends.
///
/// # Errors
/// The source cannot be opened or read, or there is no memory. A camera that goes away later is not an error.
pub fn run(stage: &Stage, config: &CaptureConfig) -> Result<(), CaptureError> {
    let text = if config.source == "auto" {
        let (uri, reason) = crate::choose_source();
        tracing::info!("{reason}");
        uri
    } else {
        config.source.clone()
    };
    let uri: SourceUri = text.parse()?;
    let truth = matches!(uri, SourceUri::Synth { truth: true, .. });
    let mut source = open(uri)?;
    let mut desk = Desk::new(stage, &text, truth)?;
    while !stage.stopping() {
        match source.next(WAIT)? {
            Event::Frame(frame) => desk.frame(&frame)?,
            Event::Idle => {}
            Event::Ended => {
                tracing::info!("the source has ended");
                break;
            }
        }
        desk.reporter.tick();
    }
    desk.reporter.finish();
    Ok(())
}

fn open(uri: SourceUri) -> Result<Box<dyn Source>, SourceError> {
    Ok(match uri {
        SourceUri::V4l2 {
            path,
            size,
            fps,
            format,
        } => Box::new(Camera::open(path, format, size, fps)?),
        SourceUri::Dir { path, fps, repeat } => Box::new(Dir::open(&path, fps, repeat)?),
        SourceUri::File { path, fps, repeat } => Box::new(Clip::open(&path, fps, repeat)?),
        SourceUri::Stdin => Box::new(Clip::stdin()),
        SourceUri::Synth {
            size,
            fps,
            seed,
            glyphs,
            format,
            ..
        } => Box::new(Synth::new(size, fps, seed, glyphs, format)),
    })
}

/// The publishing side.
struct Desk<'a> {
    stage: &'a Stage,
    text: String,
    frames: Option<Publisher>,
    truth: Option<Publisher>,
    reporter: Reporter,
    shape: (PixelFormat, u32, u32),
    last_driver_seq: Option<u64>,
    lost: u64,
    dropped: u64,
    record: DetectionRecord,
    bytes: Vec<u8>,
}

impl<'a> Desk<'a> {
    fn new(stage: &'a Stage, text: &str, truth: bool) -> Result<Self, RingError> {
        let records = Geometry {
            slots: 64,
            meta_len: 0,
            payload_capacity: DetectionRecord::MAX_BYTES as u64,
        };
        let truth = truth
            .then(|| stage.publisher(Topic::Truth, records))
            .transpose()?;
        let mut record = DetectionRecord::default();
        record.header.backend = Backend::Truth as u16;
        Ok(Self {
            stage,
            text: text.to_owned(),
            frames: None,
            truth,
            reporter: Reporter::new(stage, text)?,
            shape: (PixelFormat::Grey, 0, 0),
            last_driver_seq: None,
            lost: 0,
            dropped: 0,
            record,
            bytes: Vec::new(),
        })
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), RingError> {
        self.fit(frame)?;
        self.count_lost(frame.driver_seq);
        let Some(frames) = &mut self.frames else {
            return Ok(());
        };
        let mut published = 0;
        let (lost_total, dropped_total) = (self.lost, self.dropped);
        let stamp = frames.publish(&[frame.bytes], |stamp| {
            published = now_ns();
            meta(frame, stamp, published, lost_total, dropped_total)
        })?;
        let stats = self.reporter.stats_mut();
        match stamp {
            Some(stamp) => {
                self.reporter
                    .record(MetricId::Dequeue, frame.t_sensor, frame.t_dequeued);
                self.reporter
                    .record(MetricId::Publish, frame.t_dequeued, published);
                self.reporter.frame(frame.t_sensor);
                self.publish_truth(frame, stamp, published)?;
            }
            None => {
                self.dropped += 1;
                stats.dropped_total += 1;
                tracing::debug!("frame dropped: every slot is leased");
            }
        }
        if !self.stage.is_ready() {
            let (format, width, height) = self.shape;
            self.stage
                .ready(&format!("{} ({format} {width}x{height})", self.text));
        }
        Ok(())
    }

    /// Gaps in the source's own numbers.
    fn count_lost(&mut self, driver_seq: u64) {
        if let Some(last) = self.last_driver_seq {
            let gap = driver_seq.saturating_sub(last + 1);
            self.lost += gap;
            self.reporter.stats_mut().lost_total += gap;
        }
        self.last_driver_seq = Some(driver_seq);
    }

    /// A ring for this frame: the present one, or a new generation if format or size changed, or it is too small.
    fn fit(&mut self, frame: &Frame<'_>) -> Result<(), RingError> {
        let shape = (frame.format, frame.width, frame.height);
        let needed = frame.bytes.len() as u64;
        // A JPEG's size stands in its header, which may lie: slots are sized for real cameras, and grow if need be.
        let (format, width, height) = shape;
        let usual = format.frame_bytes(frame.stride, width, height);
        let usual = if format == PixelFormat::Mjpg {
            usual.min(MJPG_SLOT)
        } else {
            usual
        };
        let capacity = usual.max(needed);
        let geometry = Geometry {
            slots: SLOTS,
            meta_len: size_of::<FrameMeta>() as u32,
            payload_capacity: capacity.next_multiple_of(4096),
        };
        match &mut self.frames {
            None => self.frames = Some(self.stage.publisher(Topic::Frames, geometry)?),
            Some(frames) if self.shape != shape || frames.geometry().payload_capacity < needed => {
                let (format, width, height) = shape;
                tracing::info!("frames are now {format} {width}x{height}: new ring");
                frames.renew(geometry)?;
                // Totals are per generation.
                (self.lost, self.dropped) = (0, 0);
            }
            Some(_) => {}
        }
        self.shape = shape;
        if let Some(frames) = &self.frames {
            self.reporter.stats_mut().generation = frames.next().generation;
        }
        Ok(())
    }

    fn publish_truth(
        &mut self,
        frame: &Frame<'_>,
        stamp: Stamp,
        published: u64,
    ) -> Result<(), RingError> {
        let Some(truth) = &mut self.truth else {
            return Ok(());
        };
        let next = truth.next();
        let header = &mut self.record.header;
        (header.generation, header.seq) = (next.generation, next.seq);
        (header.frame_generation, header.frame_seq) = (stamp.generation, stamp.seq);
        header.driver_seq = frame.driver_seq;
        (header.frame_width, header.frame_height) = (frame.width, frame.height);
        header.times = Times {
            sensor: frame.t_sensor,
            dequeued: frame.t_dequeued,
            published,
            detections_published: now_ns(),
            ..Times::default()
        };
        self.record.detections.clear();
        self.record.detections.extend_from_slice(frame.truth);
        self.record.encode_into(&mut self.bytes);
        truth.publish(&[&self.bytes], |_| ())?;
        Ok(())
    }
}

fn meta(
    frame: &Frame<'_>,
    stamp: Stamp,
    published: u64,
    lost_total: u64,
    dropped_total: u64,
) -> FrameMeta {
    FrameMeta {
        generation: stamp.generation,
        seq: stamp.seq,
        driver_seq: frame.driver_seq,
        fourcc: frame.format.fourcc(),
        width: frame.width,
        height: frame.height,
        stride: frame.stride,
        bytes_used: frame.bytes.len() as u64,
        flags: frame.flags,
        t_sensor: frame.t_sensor,
        t_dequeued: frame.t_dequeued,
        t_published: published,
        lost_total,
        dropped_total,
        ..FrameMeta::zeroed()
    }
}

#[cfg(test)]
mod tests;
