//! The capture stage: publishes every frame of the source in the frames ring, with one copy and with its times.

use crate::files::{Clip, Dir};
use crate::freshness::Freshness;
use crate::source::{Event, Frame, Patience, Source, SourceError};
use crate::synth::Synth;
use crate::uri::{SourceUri, UriError};
use crate::v4l2::{Camera, CameraChoice, CameraRequest};
use hanja_picture::jpeg;
use hanja_record::{
    Backend, DetectionRecord, FrameMeta, MAX_DETECTIONS, MetricId, PixelFormat, Times, Topic,
};
use hanja_ring::{Geometry, Publisher, RingError, Stamp, now_ns};
use hanja_stage::Stage;
use hanja_stage::accounting::{SourceCheck, check_times};
use hanja_stage::config::CaptureConfig;
use hanja_stage::telemetry::{Drops, Reason, Reporter};
use std::time::Duration;

/// Slots of the frames ring: one being written, one newest, two leased by infer, three by render, one to spare.
const SLOTS: u32 = 8;
/// First slot size for JPEGs, at most: a full HD picture of good quality takes a quarter of it.
const MJPG_SLOT: u64 = 4 << 20;
/// Longest wait for a frame; stop and reload are noticed in between.
const WAIT: Duration = Duration::from_millis(50);

/// Why capture ended.
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

impl CaptureError {
    /// Whether another start would end the same way.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Uri(_))
    }
}

/// Runs until the stage is told to stop or the source ends.
///
/// # Errors
/// The source cannot be opened or read, or there is no memory. A camera that goes away later is not an error; whether
/// one that is missing at the start is, `patience` decides. `auto` is patient: it waits for the first camera.
pub fn run(stage: &Stage, config: &CaptureConfig, patience: Patience) -> Result<(), CaptureError> {
    serve(stage, NamedSource::open(&config.source, patience)?)
}

fn serve(stage: &Stage, mut named: NamedSource) -> Result<(), CaptureError> {
    let mut sink = FrameSink::new(stage, &named)?;
    let mut result = Ok(());
    while !stage.stopping() && result.is_ok() && sink.step(&mut *named.source)? {
        stage.reload(|new| {
            let switched = named.switch_to(&new.capture.source);
            let switched = switched.and_then(|yes| yes.then(|| sink.switch_to(&named)).transpose());
            match switched {
                Ok(Some(())) => return vec!["capture.source"],
                Ok(None) => {}
                Err(e) => result = Err(e),
            }
            Vec::new()
        });
    }
    sink.reporter.finish();
    result
}

/// A source and the URI that it was opened by.
struct NamedSource {
    source: Box<dyn Source>,
    uri: String,
    /// Whether its ground truth is published.
    truth: bool,
    patience: Patience,
}

impl NamedSource {
    fn open(uri: &str, patience: Patience) -> Result<Self, CaptureError> {
        let parsed = parse(uri)?;
        Ok(Self {
            truth: matches!(parsed, SourceUri::Synth { truth: true, .. }),
            source: open(parsed, patience)?,
            uri: uri.to_owned(),
            patience,
        })
    }

    /// Its name in statistics and messages: the camera that `auto` found, else the URI.
    fn name(&self) -> &str {
        self.source.found().unwrap_or(&self.uri)
    }

    /// Opens another source in place of this one. False: it is the same, or cannot be opened, and the old one stays.
    fn switch_to(&mut self, uri: &str) -> Result<bool, CaptureError> {
        if uri == self.uri {
            return Ok(false);
        }
        if let Err(e) = parse(uri) {
            tracing::warn!("reload: {e}");
            return Ok(false);
        }
        // Closed first: both may be the same camera, which opens only once.
        self.source = Box::new(NoSource);
        match Self::open(uri, self.patience) {
            Ok(new) => {
                *self = new;
                Ok(true)
            }
            Err(e) => {
                tracing::warn!("reload: {e}");
                *self = Self::open(&self.uri, self.patience)?;
                Ok(false)
            }
        }
    }
}

/// Stands in while one source is closed and the next is not open yet.
struct NoSource;

impl Source for NoSource {
    fn next(&mut self, _: Duration) -> Result<Event<'_>, SourceError> {
        Ok(Event::Idle)
    }
}

fn parse(text: &str) -> Result<SourceUri, UriError> {
    if text == "auto" { "v4l2:auto" } else { text }.parse()
}

fn open(uri: SourceUri, patience: Patience) -> Result<Box<dyn Source>, SourceError> {
    Ok(match uri {
        SourceUri::V4l2 {
            path,
            size,
            fps,
            format,
        } => {
            let (which, patience) = if path.as_os_str() == "auto" {
                (CameraChoice::First, Patience::Wait)
            } else {
                (CameraChoice::Node(path), patience)
            };
            let wanted = CameraRequest {
                which,
                format,
                size,
                fps,
            };
            Box::new(Camera::open(wanted, patience)?)
        }
        SourceUri::Dir { path, fps, repeat } => Box::new(Dir::open(&path, fps, repeat)?),
        SourceUri::File { path, fps, repeat } => Box::new(Clip::open(&path, fps, repeat)?),
        SourceUri::Stdin => Box::new(Clip::stdin()),
        SourceUri::Synth {
            size,
            fps,
            seed,
            glyphs,
            format,
            fault,
            ..
        } => Box::new(Synth::new(size, fps, seed, glyphs, format).with_fault(fault)),
    })
}

/// What a frame's slot is filled with. A JPEG is made whole here, before anybody sees it: readers differ in what they
/// forgive.
fn content<'a>(frame: &Frame<'a>) -> jpeg::Whole<'a> {
    match frame.format {
        PixelFormat::Mjpg => jpeg::whole(frame.bytes),
        _ => jpeg::Whole::untouched(frame.bytes),
    }
}

/// Takes a source's frames: publishes them, counts them and reports about them.
struct FrameSink<'a> {
    stage: &'a Stage,
    uri: String,
    frames: Option<Publisher>,
    truth: Option<Publisher>,
    reporter: Reporter,
    drops: Drops,
    /// The status last reported: what is wrong with the source, or the camera that was found.
    noted: Option<String>,
    shape: (PixelFormat, u32, u32),
    last_driver_seq: Option<u64>,
    freshness: Freshness,
    source_check: SourceCheck,
    lost: u64,
    dropped: u64,
    record: DetectionRecord,
    bytes: Vec<u8>,
}

impl<'a> FrameSink<'a> {
    fn new(stage: &'a Stage, named: &NamedSource) -> Result<Self, RingError> {
        let mut record = DetectionRecord::default();
        record.header.backend = Backend::Truth as u16;
        record.detections.reserve(MAX_DETECTIONS);
        let mut sink = Self {
            stage,
            uri: named.uri.clone(),
            frames: None,
            truth: None,
            reporter: Reporter::new(stage, named.name())?,
            drops: Drops::default(),
            noted: None,
            shape: (PixelFormat::Grey, 0, 0),
            last_driver_seq: None,
            freshness: Freshness::default(),
            source_check: SourceCheck::default(),
            lost: 0,
            dropped: 0,
            record,
            bytes: Vec::with_capacity(DetectionRecord::MAX_BYTES),
        };
        sink.offer_truth(named)?;
        Ok(sink)
    }

    fn offer_truth(&mut self, named: &NamedSource) -> Result<(), RingError> {
        let records = Geometry {
            slots: 64,
            meta_len: 0,
            payload_capacity: DetectionRecord::MAX_BYTES as u64,
        };
        if named.truth && self.truth.is_none() {
            self.truth = Some(self.stage.publisher(Topic::Truth, records)?);
        }
        Ok(())
    }

    /// Goes on with another source.
    fn switch_to(&mut self, named: &NamedSource) -> Result<(), CaptureError> {
        self.uri.clone_from(&named.uri);
        self.reporter.stats_mut().set_what(named.name());
        self.last_driver_seq = None; // another source numbers its frames anew
        self.source_check = SourceCheck::default();
        Ok(self.offer_truth(named)?)
    }

    /// Reports READY with the first frame, even a flagged one; and, whenever that changes, what is wrong with the source
    /// or which camera was found.
    fn report_status(&mut self, source: &dyn Source) {
        let (trouble, found) = (source.trouble(), source.found());
        let status = trouble.or(found);
        if status != self.noted.as_deref() {
            self.stage.note(status.unwrap_or_default());
            self.noted = status.map(str::to_owned);
            if let Some(found) = found {
                self.reporter.stats_mut().set_what(found);
            }
        }
        if self.frames.is_some() && !self.stage.is_ready() {
            let (format, width, height) = self.shape;
            self.stage.ready(&match trouble {
                Some(trouble) => format!("no picture yet: {trouble}"),
                None => {
                    let name = found.unwrap_or(&self.uri);
                    format!("{name} ({format} {width}x{height})")
                }
            });
        }
    }

    /// Waits shortly for one frame and publishes it. False: the source has ended. Allocates nothing once the ring exists.
    fn step(&mut self, source: &mut dyn Source) -> Result<bool, CaptureError> {
        match source.next(WAIT)? {
            Event::Frame(frame) => {
                self.publish(&frame)?;
                self.stage.alive();
            }
            Event::Idle => {
                if source.may_pause() {
                    self.stage.alive();
                }
            }
            Event::Ended => {
                tracing::info!("the source has ended");
                return Ok(false);
            }
        }
        self.report_status(source);
        self.reporter.tick();
        self.drops.tick();
        Ok(true)
    }

    fn publish(&mut self, frame: &Frame<'_>) -> Result<(), RingError> {
        let content = content(frame);
        self.fit_ring(frame, content.len())?;
        self.count_lost(frame.driver_seq);
        let since = self.freshness.update(frame);
        let Some(frames) = &mut self.frames else {
            return Ok(());
        };
        let mut published = 0;
        let (lost_total, dropped_total) = (self.lost, self.dropped);
        let stamp = frames.publish(content.parts(), |stamp| {
            published = now_ns();
            FrameMeta {
                t_new_number: since.number,
                t_new_time: since.time,
                t_new_picture: since.picture,
                bytes_used: content.len() as u64,
                ..meta(frame, stamp, published, lost_total, dropped_total)
            }
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
                self.drops.count(Reason::RingFull, 1, || {
                    "infer and render hold every slot of the ring".into()
                });
            }
        }
        self.check(frame, published);
        Ok(())
    }

    /// Frame accounting: checks that times and counts add up.
    fn check(&mut self, frame: &Frame<'_>, published: u64) {
        if !self.reporter.on() {
            return;
        }
        let stats = self.reporter.stats_mut();
        let counted = stats.frames_total + stats.dropped_total + stats.lost_total;
        let counts = self.source_check.check(frame.driver_seq, counted);
        self.reporter.check(counts);
        let times = Times {
            sensor: frame.t_sensor,
            dequeued: frame.t_dequeued,
            published, // 0 if it was dropped
            ..Times::default()
        };
        self.reporter.check(check_times(&times));
    }

    /// Counts the gap before this frame in the source's own numbers.
    fn count_lost(&mut self, driver_seq: u64) {
        if let Some(last) = self.last_driver_seq {
            let gap = driver_seq.saturating_sub(last + 1);
            self.lost += gap;
            self.reporter.stats_mut().lost_total += gap;
            self.drops.count(Reason::Lost, gap, || {
                format!("the source went on from frame {last} to {driver_seq}")
            });
        }
        self.last_driver_seq = Some(driver_seq);
    }

    /// Makes sure that the ring suits this frame: a new generation begins if format or size changed, or the slots are too
    /// small.
    fn fit_ring(&mut self, frame: &Frame<'_>, len: usize) -> Result<(), RingError> {
        let shape = (frame.format, frame.width, frame.height);
        let needed = len as u64;
        // The size in a JPEG's header may be wrong: slots are sized for real cameras, and grow where that is not enough.
        let (format, width, height) = shape;
        let expected = format.frame_bytes(frame.stride, width, height);
        let expected = if format == PixelFormat::Mjpg {
            expected.min(MJPG_SLOT)
        } else {
            expected
        };
        let capacity = expected.max(needed);
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
