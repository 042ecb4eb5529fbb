//! The hub: takes every record in order, fetches its picture while someone watches, and hands both to the server.

use crate::picture::{PictureError, to_jpeg};
use crate::presented::Presented;
use crate::shared::{Event, EventId, Shared, View};
use hanja_record::json::{FrameJson, RecordJson};
use hanja_record::{Detection, DetectionRecord, MetricId, StageName, Status, Topic};
use hanja_ring::{Lease, LeaseSubscriber, RingError, Sample, TapSubscriber, now_ns};
use hanja_stage::Stage;
use hanja_stage::accounting::RecordCheck;
use hanja_stage::liveness::Observer;
use hanja_stage::telemetry::{Drops, Reason, Reporter};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Pictures per second at most: beyond what television shows, an eye gains little, and a JPEG costs a core 2 to 3 ms.
const PICTURES_PER_S: u32 = 25;
/// Above this the artefacts are smaller than the camera's noise.
const QUALITY: u8 = 80;
/// A frame that has no record after this is shown without one, and those after it: infer is late, or silent.
const SILENCE: Duration = Duration::from_millis(300);
/// Longest sleep: bounds the time to notice the end and silence.
const LOOK: Duration = Duration::from_millis(50);
/// How often the stages' numbers are looked at; they change once a second.
const NUMBERS: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
    spans: mpsc::Receiver<(u64, u64)>,
    records: TapSubscriber,
    frames: LeaseSubscriber,
    observer: Observer,
    presented: Presented,
    record_check: RecordCheck,
    sample: Sample,
    /// When the next picture is due.
    due: Instant,
    last_id: Option<EventId>,
    /// Generation and number of the frame of the last record.
    recorded: (u64, u64),
    /// The newest frame after it, and since when there have been any.
    unrecorded: Option<(Instant, (u64, u64))>,
    /// The frame whose picture is the newest shown.
    shown: (u64, u64),
    last_numbers: Instant,
    drops: Drops,
}

impl Hub {
    pub(crate) fn new(
        stage: &Stage,
        shared: Arc<Shared>,
        spans: mpsc::Receiver<(u64, u64)>,
    ) -> Result<Self, RingError> {
        let dir = stage.runtime_dir();
        let now = Instant::now();
        Ok(Self {
            shared,
            spans,
            records: Topic::Detections.tap(dir, StageName::Infer),
            frames: Topic::Frames.lease(dir, StageName::Capture, 3),
            observer: Observer::new(dir),
            presented: Presented::new(stage)?,
            record_check: RecordCheck::default(),
            sample: Sample::default(),
            due: now,
            last_id: None,
            recorded: (0, 0),
            unrecorded: None,
            shown: (0, 0),
            last_numbers: now,
            drops: Drops::default(),
        })
    }

    /// The generation of what render publishes.
    pub(crate) fn generation(&self) -> u64 {
        self.presented.generation()
    }

    /// One turn: at most [`LOOK`] long when nothing comes. True: a record was served, or there is none to serve.
    pub(crate) fn turn(&mut self, reporter: &mut Reporter) -> bool {
        let came = self.records.next(&mut self.sample, LOOK);
        if came {
            self.record(reporter);
        } else if self.picture_due() {
            self.unrecorded_frame();
        }
        for (from, to) in self.spans.try_iter() {
            self.presented.seen(from, to, reporter);
        }
        self.presented.tick(now_ns(), reporter);
        if self.last_numbers.elapsed() > NUMBERS {
            self.last_numbers = Instant::now();
            self.numbers();
        }
        reporter.tick();
        self.drops.tick();
        came || self.records.is_idle()
    }

    fn record(&mut self, reporter: &mut Reporter) {
        let now = now_ns();
        let missed = self.sample.lapped;
        if missed > 0 {
            let stats = reporter.stats_mut();
            stats.missed_total = stats.missed_total.saturating_add(missed);
            let mut n = self.shared.numbers();
            n.records_missed_total = n.records_missed_total.saturating_add(missed);
            drop(n);
            let message = || "the machine is too busy for the view".into();
            self.drops.count(Reason::RecordMissed, missed, message);
        }
        let mut record = match DetectionRecord::from_bytes(&self.sample.payload) {
            Ok(record) => record,
            Err(e) => {
                self.last_id = None;
                return self.fail(&format!("record not shown: {e}"));
            }
        };
        if reporter.on() {
            reporter.check(self.record_check.check(&record.header));
        }
        record.header.times.render_acquired = now;
        self.recorded = (record.header.frame_generation, record.header.frame_seq);
        self.unrecorded = None;
        let times = record.header.times;
        reporter.record(MetricId::Deliver, times.detections_published, now);
        reporter.frame(times.sensor);
        let stats = reporter.stats_mut();
        stats.detections_total = stats
            .detections_total
            .saturating_add(record.detections.len() as u64);
        let Ok(json) = serde_json::to_string(&RecordJson::new(&record)) else {
            return; // cannot happen: no map keys but strings
        };
        let json: Arc<str> = json.into();
        {
            let mut n = self.shared.numbers();
            n.record_sensor_ns = times.sensor;
            n.records_total += 1;
            n.detections_total += record.detections.len() as u64;
        }
        let id = EventId {
            generation: record.header.generation,
            seq: record.header.seq,
        };
        // A reader drains the ring of a dead infer before it goes on to the next, so only what was lapped is missing.
        let follows = self.last_id.replace(id).filter(|_| missed == 0);
        self.shared.publish(Event {
            id,
            follows,
            json: Arc::clone(&json),
        });
        let shown = self.picture_due() && self.picture(&record, json, now);
        self.presented.handled(record, shown, reporter);
    }

    /// Shows the picture of a record, if it can be had.
    fn picture(&mut self, record: &DetectionRecord, json: Arc<str>, now: u64) -> bool {
        let (generation, seq) = (record.header.frame_generation, record.header.frame_seq);
        // Gone already where render was late: then the next record has a picture.
        if let Some(lease) = self.frames.exact(generation, seq) {
            return self.show(&lease, Some((json, record.detections.clone())), now);
        }
        if record.header.status == Status::NoSignal as u16 {
            self.bare_frame();
        }
        false
    }

    fn bare_frame(&mut self) {
        if let Some(lease) = self.frames.newest(Duration::ZERO) {
            self.show(&lease, None, now_ns());
        }
    }

    /// The newest frame without a record, once it is not to be waited for any longer.
    fn unrecorded_frame(&mut self) {
        if let Some(lease) = self.frames.newest(Duration::ZERO) {
            let id = (lease.generation(), lease.seq());
            let since = self
                .unrecorded
                .map_or_else(Instant::now, |(since, _)| since);
            // Generations ascend.
            self.unrecorded = (id > self.recorded).then_some((since, id));
        }
        let late = self
            .unrecorded
            .filter(|(since, id)| since.elapsed() > SILENCE && *id != self.shown);
        if let Some((_, (generation, seq))) = late
            && let Some(lease) = self.frames.exact(generation, seq)
        {
            self.show(&lease, None, now_ns());
        }
    }

    /// Someone watches and the last picture is long enough ago.
    fn picture_due(&self) -> bool {
        self.shared.watched() && Instant::now() >= self.due
    }

    /// False: it is not to be had, and the log says why.
    fn show(
        &mut self,
        lease: &Lease,
        record: Option<(Arc<str>, Vec<Detection>)>,
        now: u64,
    ) -> bool {
        // From the time it was due rather than from now, else 30 frames a second would become 15 pictures.
        let pace = Duration::from_secs(1) / PICTURES_PER_S;
        self.due = (self.due + pace).max(Instant::now().checked_sub(pace).unwrap_or(self.due));
        match jpeg(lease) {
            Ok(jpeg) => {
                let frame = FrameJson::new(&hanja_record::FrameMeta::read(lease.meta()));
                self.shared.show(View::new(jpeg, record, frame, now));
                self.shown = (lease.generation(), lease.seq());
                true
            }
            Err(e) => {
                self.fail(&format!("frame {} not shown: {e}", lease.seq()));
                false
            }
        }
    }

    fn numbers(&mut self) {
        let snapshot = self.observer.look(Duration::ZERO);
        let mut numbers = self.shared.numbers();
        for (name, stage) in StageName::ALL.into_iter().zip(&snapshot.stages) {
            let known = numbers.stage(name).map(|s| s.t_ns);
            if let Some(stats) = stage.stats.filter(|s| known != Some(s.t_ns)) {
                self.shared.history().add(name, &stats);
                numbers.set_stage(name, stats, &stage.bytes);
            }
        }
        numbers.snapshot.clone_from(snapshot);
    }

    fn fail(&mut self, text: &str) {
        self.shared.numbers().failures_total += 1;
        self.drops.count(Reason::NotShown, 1, || text.to_owned());
    }
}

/// The JPEG of a leased frame.
fn jpeg(lease: &Lease) -> Result<Vec<u8>, PictureError> {
    let meta = hanja_record::FrameMeta::read(lease.meta());
    // Only on kernels that cannot seal a ring is anything copied.
    let mut copy = Vec::new();
    let frame = meta.frame(lease.stable_payload(&mut copy));
    let frame = frame.ok_or(PictureError::Format {
        fourcc: meta.fourcc,
    })?;
    to_jpeg(&frame, QUALITY)
}
