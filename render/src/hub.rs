//! The hub: takes every record in order, fetches its picture while someone watches, and hands both to the server.

use crate::json::{FrameJson, RecordJson};
use crate::picture::{FrameRef, PictureError, to_jpeg};
use crate::shared::{Event, EventId, Shared, View};
use hanja_common::clock::now_ns;
use hanja_common::record::{Detection, DetectionRecord, MetricId, StageStats, Status};
use hanja_common::ring::{Lease, Sample, Topic};
use hanja_common::stage::{Stage, StageName};
use hanja_common::telemetry::Reporter;
use hanja_common::{LeaseSubscriber, TapSubscriber};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Pictures per second at most: beyond what television shows, an eye gains little, and a JPEG costs a core 2 to 3 ms.
const PICTURES_PER_S: u32 = 25;
/// Above this the artefacts are smaller than the camera's noise.
const QUALITY: u8 = 80;
/// Infer counts as silent after this; then the bare frames are shown.
const SILENCE: Duration = Duration::from_millis(300);
/// Longest sleep: bounds the time to notice the end and silence.
const LOOK: Duration = Duration::from_millis(50);
/// How often the stages' numbers are looked at; they change once a second.
const NUMBERS: Duration = Duration::from_millis(250);
/// One warning in this time.
const COMPLAIN: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
    spans: mpsc::Receiver<(u64, u64)>,
    records: TapSubscriber,
    frames: LeaseSubscriber,
    stats: [(StageName, TapSubscriber); 3],
    sample: Sample,
    /// When the next picture is due.
    due: Instant,
    last_record: Instant,
    last_numbers: Instant,
    last_complaint: Option<Instant>,
}

impl Hub {
    pub(crate) fn new(
        stage: &Stage,
        shared: Arc<Shared>,
        spans: mpsc::Receiver<(u64, u64)>,
    ) -> Self {
        let dir = stage.runtime_dir();
        let now = Instant::now();
        Self {
            shared,
            spans,
            records: TapSubscriber::new(dir, StageName::Infer, Topic::Detections),
            frames: LeaseSubscriber::new(dir, StageName::Capture, Topic::Frames, 3),
            stats: StageName::ALL.map(|name| (name, TapSubscriber::new(dir, name, Topic::Stats))),
            sample: Sample::default(),
            due: now,
            last_record: now,
            last_numbers: now,
            last_complaint: None,
        }
    }

    /// One turn: at most [`LOOK`] long when nothing comes.
    pub(crate) fn turn(&mut self, reporter: &mut Reporter) {
        if self.records.next(&mut self.sample, LOOK) {
            self.last_record = Instant::now();
            self.record(reporter);
        } else if self.last_record.elapsed() > SILENCE && self.picture_due() {
            self.bare_frame();
        }
        for (from, to) in self.spans.try_iter() {
            reporter.record(MetricId::Present, from, to);
        }
        if self.last_numbers.elapsed() > NUMBERS {
            self.last_numbers = Instant::now();
            self.numbers();
        }
        reporter.tick();
    }

    fn record(&mut self, reporter: &mut Reporter) {
        let now = now_ns();
        let missed = self.sample.lapped;
        if missed > 0 {
            let mut n = self.shared.numbers();
            n.records_missed_total = n.records_missed_total.saturating_add(missed);
            drop(n);
            self.complain(&format!(
                "{missed} records missed: the machine is too busy for the view"
            ));
        }
        let mut record = match DetectionRecord::from_bytes(&self.sample.payload) {
            Ok(record) => record,
            Err(e) => return self.fail(&format!("record not shown: {e}")),
        };
        record.header.times.render_acquired = now;
        let times = record.header.times;
        reporter.record(MetricId::Deliver, times.detections_published, now);
        reporter.frame(times.sensor);
        let Ok(json) = serde_json::to_string(&RecordJson::new(&record)) else {
            return; // cannot happen: no map keys but strings
        };
        let json: Arc<str> = json.into();
        {
            let mut n = self.shared.numbers();
            n.record_ns = now;
            n.record_sensor_ns = times.sensor;
            n.records_total += 1;
            n.detections_total += record.detections.len() as u64;
        }
        let id = EventId {
            generation: record.header.generation,
            seq: record.header.seq,
        };
        self.shared.publish(Event {
            id,
            json: Arc::clone(&json),
        });
        if !self.picture_due() {
            return;
        }
        let (generation, seq) = (record.header.frame_generation, record.header.frame_seq);
        // Gone already where render was late: then the next record has a picture.
        if let Some(lease) = self.frames.exact(generation, seq) {
            self.show(&lease, Some((json, record.detections)), now);
        } else if record.header.status == Status::NoSignal as u16 {
            self.bare_frame();
        }
    }

    fn bare_frame(&mut self) {
        if let Some(lease) = self.frames.newest(Duration::ZERO) {
            self.show(&lease, None, now_ns());
        }
    }

    /// Someone watches and the last picture is long enough ago.
    fn picture_due(&self) -> bool {
        self.shared.watched() && Instant::now() >= self.due
    }

    fn show(&mut self, lease: &Lease, record: Option<(Arc<str>, Vec<Detection>)>, now: u64) {
        // From the time it was due rather than from now, else 30 frames a second would become 15 pictures.
        let pace = Duration::from_secs(1) / PICTURES_PER_S;
        self.due = (self.due + pace).max(Instant::now().checked_sub(pace).unwrap_or(self.due));
        match jpeg(lease) {
            Ok(jpeg) => {
                let frame = FrameJson::new(&lease.frame_meta());
                self.shared.show(View::new(jpeg, record, frame, now));
            }
            Err(e) => self.fail(&format!("frame {} not shown: {e}", lease.seq())),
        }
    }

    fn numbers(&mut self) {
        for (name, tap) in &mut self.stats {
            if !tap.newest(&mut self.sample, Duration::ZERO) {
                continue;
            }
            match StageStats::from_bytes(&self.sample.payload) {
                Ok(stats) => {
                    let words = stats.words_in(&self.sample.payload);
                    self.shared.numbers().set_stage(*name, stats, words);
                }
                Err(e) => tracing::debug!("statistics of {} not shown: {e}", name.name()),
            }
        }
    }

    fn fail(&mut self, text: &str) {
        self.shared.numbers().failures_total += 1;
        self.complain(text);
    }

    fn complain(&mut self, text: &str) {
        if self.last_complaint.is_none_or(|t| t.elapsed() > COMPLAIN) {
            self.last_complaint = Some(Instant::now());
            tracing::warn!("{text}");
        }
    }
}

/// The JPEG of a leased frame.
fn jpeg(lease: &Lease) -> Result<Vec<u8>, PictureError> {
    let meta = lease.frame_meta();
    let format = meta.format().ok_or(PictureError::Format {
        fourcc: meta.fourcc,
    })?;
    let bytes = lease.payload();
    to_jpeg(
        &FrameRef {
            format,
            width: meta.width,
            height: meta.height,
            stride: meta.stride,
            bytes,
        },
        QUALITY,
    )
}
