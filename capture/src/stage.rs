//! The capture stage: whatever the source delivers goes into the frames ring, with one copy and its times.

use crate::files::{Clip, Dir};
use crate::freshness::Freshness;
use crate::source::{Event, Frame, Patience, Source, SourceError};
use crate::synth::Synth;
use crate::uri::{SourceUri, UriError};
use crate::v4l2::{Camera, Wanted, Which};
use hanja_common::accounting::{SourceCheck, check_times};
use hanja_common::clock::now_ns;
use hanja_common::config::CaptureConfig;
use hanja_common::record::{
    Backend, DetectionRecord, FrameMeta, MAX_DETECTIONS, MetricId, PixelFormat, Times,
};
use hanja_common::ring::{Geometry, RingError, Stamp, Topic};
use hanja_common::stage::{Publisher, Stage};
use hanja_common::telemetry::{Drops, Reason, Reporter};
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
    serve(stage, Inlet::open(&config.source, patience)?)
}

fn serve(stage: &Stage, mut inlet: Inlet) -> Result<(), CaptureError> {
    let mut desk = Desk::new(stage, &inlet)?;
    let mut back = Ok(());
    while !stage.stopping() && back.is_ok() && desk.turn(&mut *inlet.source)? {
        stage.reload(|new| {
            let taken = inlet.change(&new.capture.source);
            let taken = taken.and_then(|taken| taken.then(|| desk.go_on_with(&inlet)).transpose());
            match taken {
                Ok(Some(())) => return vec!["capture.source"],
                Ok(None) => {}
                Err(e) => back = Err(e),
            }
            Vec::new()
        });
    }
    desk.reporter.finish();
    back
}

/// The source with its name.
struct Inlet {
    source: Box<dyn Source>,
    text: String,
    truth: bool,
    patience: Patience,
}

impl Inlet {
    fn open(text: &str, patience: Patience) -> Result<Self, CaptureError> {
        let uri = parse(text)?;
        Ok(Self {
            truth: matches!(uri, SourceUri::Synth { truth: true, .. }),
            source: open(uri, patience)?,
            text: text.to_owned(),
            patience,
        })
    }

    /// What people are told that it is.
    fn name(&self) -> &str {
        self.source.found().unwrap_or(&self.text)
    }

    /// Goes over to another source. False: it is the same, or of no use, and the old one goes on.
    fn change(&mut self, text: &str) -> Result<bool, CaptureError> {
        if text == self.text {
            return Ok(false);
        }
        if let Err(e) = parse(text) {
            tracing::warn!("reload: {e}");
            return Ok(false);
        }
        // Closed first: both may be the same camera, which opens only once.
        self.source = Box::new(Nothing);
        match Self::open(text, self.patience) {
            Ok(new) => {
                *self = new;
                Ok(true)
            }
            Err(e) => {
                tracing::warn!("reload: {e}");
                *self = Self::open(&self.text, self.patience)?;
                Ok(false)
            }
        }
    }
}

/// Between two sources.
struct Nothing;

impl Source for Nothing {
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
                (Which::First, Patience::Wait)
            } else {
                (Which::Node(path), patience)
            };
            let wanted = Wanted {
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

/// The publishing side.
struct Desk<'a> {
    stage: &'a Stage,
    text: String,
    frames: Option<Publisher>,
    truth: Option<Publisher>,
    reporter: Reporter,
    drops: Drops,
    /// What was last said of the source's trouble, or of what it found.
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

impl<'a> Desk<'a> {
    fn new(stage: &'a Stage, inlet: &Inlet) -> Result<Self, RingError> {
        let mut record = DetectionRecord::default();
        record.header.backend = Backend::Truth as u16;
        record.detections.reserve(MAX_DETECTIONS);
        let mut desk = Self {
            stage,
            text: inlet.text.clone(),
            frames: None,
            truth: None,
            reporter: Reporter::new(stage, inlet.name())?,
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
        desk.offer_truth(inlet)?;
        Ok(desk)
    }

    fn offer_truth(&mut self, inlet: &Inlet) -> Result<(), RingError> {
        let records = Geometry {
            slots: 64,
            meta_len: 0,
            payload_capacity: DetectionRecord::MAX_BYTES as u64,
        };
        if inlet.truth && self.truth.is_none() {
            self.truth = Some(self.stage.publisher(Topic::Truth, records)?);
        }
        Ok(())
    }

    /// Another source from the next frame on.
    fn go_on_with(&mut self, inlet: &Inlet) -> Result<(), CaptureError> {
        self.text.clone_from(&inlet.text);
        self.reporter.stats_mut().set_what(inlet.name());
        self.last_driver_seq = None; // it counts anew
        self.source_check = SourceCheck::default();
        Ok(self.offer_truth(inlet)?)
    }

    /// Says READY once frames flow, be they flagged, what is wrong with the source while it is, and what it found.
    fn look_at(&mut self, source: &dyn Source) {
        let (trouble, found) = (source.trouble(), source.found());
        let words = trouble.or(found);
        if words != self.noted.as_deref() {
            self.stage.note(words.unwrap_or_default());
            self.noted = words.map(str::to_owned);
            if let Some(found) = found {
                self.reporter.stats_mut().set_what(found);
            }
        }
        if self.frames.is_some() && !self.stage.is_ready() {
            let (format, width, height) = self.shape;
            self.stage.ready(&match trouble {
                Some(trouble) => format!("no picture yet: {trouble}"),
                None => {
                    let name = found.unwrap_or(&self.text);
                    format!("{name} ({format} {width}x{height})")
                }
            });
        }
    }

    /// One frame, or a short wait in vain. False: the source has ended. Allocates nothing once the ring is there.
    fn turn(&mut self, source: &mut dyn Source) -> Result<bool, CaptureError> {
        match source.next(WAIT)? {
            Event::Frame(frame) => {
                self.frame(&frame)?;
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
        self.look_at(source);
        self.reporter.tick();
        self.drops.tick();
        Ok(true)
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), RingError> {
        self.fit(frame)?;
        self.count_lost(frame.driver_seq);
        let since = self.freshness.look(frame);
        let Some(frames) = &mut self.frames else {
            return Ok(());
        };
        let mut published = 0;
        let (lost_total, dropped_total) = (self.lost, self.dropped);
        let stamp = frames.publish(&[frame.bytes], |stamp| {
            published = now_ns();
            FrameMeta {
                t_new_number: since.number,
                t_new_time: since.time,
                t_new_picture: since.picture,
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

    /// Whether times and counts add up, in every frame.
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

    /// Gaps in the source's own numbers.
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
mod allocation;
#[cfg(test)]
mod tests;
