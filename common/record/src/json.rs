//! The JSON form of the records: one shape for `hanja tap --json`, the event stream, the picture stream and the page.

use super::{
    Backend, Detection, DetectionRecord, FrameFlags, FrameMeta, MetricId, StageStats, Status,
    Times, numeral,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// One detection record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordJson {
    /// Number of the record in its generation, from 1.
    pub seq: u64,
    /// Generation of the detections ring.
    pub generation: u64,
    /// The frame it is about.
    pub frame: FrameIdJson,
    /// Name of the backend.
    pub backend: &'static str,
    /// Model hash as 16 hexadecimal digits; null: no model.
    pub model: Option<String>,
    /// `ok`, `undecodable` or `no_signal`.
    pub status: &'static str,
    /// What was found.
    pub detections: Vec<DetectionJson>,
    /// Boxes above the threshold before suppression.
    pub candidates: u32,
    /// Boxes removed by suppression.
    pub suppressed: u32,
    /// Boxes left out because a bound was reached.
    pub capped: u32,
    /// CLOCK_MONOTONIC nanoseconds of each step that has happened.
    pub times_ns: Pairs<u64>,
    /// Milliseconds of each step; they sum to `end_to_end_ms`.
    pub latency_ms: Pairs<f64>,
    /// From the sensor to the last step, milliseconds.
    pub end_to_end_ms: f64,
}

/// Which frame, and its size.
#[derive(Clone, Debug, Serialize)]
pub struct FrameIdJson {
    /// Generation of the frames ring.
    pub generation: u64,
    /// Number in that generation, from 1.
    pub seq: u64,
    /// The source's own number.
    pub driver_seq: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// One found object.
#[derive(Clone, Debug, Serialize)]
pub struct DetectionJson {
    /// Class number.
    pub class: u16,
    /// Its numeral, or `class N`.
    pub label: String,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// Left, top, right, bottom in pixels of the frame.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
}

/// A JSON object whose keys keep the order in which things happened.
#[derive(Clone, Debug)]
pub struct Pairs<T>(pub Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for Pairs<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl From<&Detection> for DetectionJson {
    fn from(d: &Detection) -> Self {
        Self {
            class: d.class,
            label: numeral(d.class).into_owned(),
            score: d.score,
            bbox: [d.x1, d.y1, d.x2, d.y2],
        }
    }
}

impl RecordJson {
    /// The record with all of its times.
    #[must_use]
    pub fn new(record: &DetectionRecord) -> Self {
        let h = &record.header;
        Self {
            seq: h.seq,
            generation: h.generation,
            frame: FrameIdJson {
                generation: h.frame_generation,
                seq: h.frame_seq,
                driver_seq: h.driver_seq,
                width: h.frame_width,
                height: h.frame_height,
            },
            backend: record.backend().name(),
            model: (h.model_id != 0).then(|| format!("{:016x}", h.model_id)),
            status: Status::name_of(h.status),
            detections: record.detections.iter().map(DetectionJson::from).collect(),
            candidates: h.candidates,
            suppressed: h.suppressed,
            capped: h.capped,
            times_ns: times(&h.times),
            latency_ms: Pairs(
                h.times
                    .stages_ms()
                    .into_iter()
                    .map(|(name, ms)| (name, rounded(ms)))
                    .collect(),
            ),
            end_to_end_ms: rounded(h.times.end_to_end_ms()),
        }
    }
}

fn times(t: &Times) -> Pairs<u64> {
    let all = Times::NAMES.into_iter().zip(t.stamps());
    Pairs(all.filter(|(_, ns)| *ns != 0).collect())
}

/// To the microsecond: more digits are noise.
fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// One second of a stage.
#[derive(Clone, Debug, Serialize)]
pub struct StatsJson {
    /// `capture`, `infer` or `render`.
    pub stage: &'static str,
    /// Process id.
    pub pid: u32,
    /// Generation of the topic the stage writes.
    pub generation: u64,
    /// When written, CLOCK_MONOTONIC nanoseconds.
    pub t_ns: u64,
    /// Seconds since the process started.
    pub uptime_s: f64,
    /// Frames per second over the last second.
    pub fps: f64,
    /// Frames since the process started.
    pub frames: u64,
    /// Resident memory in KiB.
    pub rss_kib: u32,
    /// CPU time of the process in microseconds.
    pub cpu_us: u64,
    /// The kernel's part of it.
    pub cpu_system_us: u64,
    /// Most resident memory since the process started, KiB.
    pub rss_peak_kib: u32,
    /// Processes attached to the stage's rings.
    pub readers: u32,
    /// Of them, stages that lease slots.
    pub leases: u32,
    /// Of them, those that only look.
    pub taps: u32,
    /// Longest wait of an input taken in the last second, milliseconds.
    pub queue_age_ms: f64,
    /// Since the newest frame handled left the sensor, milliseconds; null before the first.
    pub data_age_ms: Option<f64>,
    /// Detections in all records of this process.
    pub detections: u64,
    /// What was not done, and why.
    pub counters: CountersJson,
    /// Source, model or address in words.
    pub what: String,
    /// Name of the backend; infer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<&'static str>,
    /// The backend in words, and why better ones were not taken; infer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_choice: Option<String>,
    /// Latencies over the last second.
    pub metrics: Pairs<MetricJson>,
}

/// Totals since the process started: what was not done, and why; what was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CountersJson {
    /// Frames lost in the driver.
    pub lost: u64,
    /// Frames dropped because every slot was leased.
    pub dropped: u64,
    /// Frames passed over for a newer one.
    pub skipped_busy: u64,
    /// Frames that could not be decoded.
    pub skipped_undecodable: u64,
    /// Frames without signal.
    pub skipped_no_signal: u64,
    /// Records overwritten before render read them.
    pub missed: u64,
    /// Pictures whose first byte left render.
    pub presented: u64,
    /// Frames whose times or counts did not add up: a bug.
    pub unbalanced: u64,
}

/// One latency, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MetricJson {
    /// Samples.
    pub count: u32,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

impl StatsJson {
    /// The record in words and milliseconds; `description`: the words behind it, [`StageStats::words_in`].
    #[must_use]
    pub fn new(s: &StageStats, description: &str) -> Self {
        let ms = |us: u32| f64::from(us) / 1e3;
        let metrics = s.metrics.iter().filter(|m| m.count > 0).map(|m| {
            let json = MetricJson {
                count: m.count,
                p50_ms: ms(m.p50_us),
                p90_ms: ms(m.p90_us),
                p99_ms: ms(m.p99_us),
                max_ms: ms(m.max_us),
            };
            (MetricId::from_u16(m.id).name(), json)
        });
        let backend = Backend::from_u16(s.backend);
        Self {
            stage: s.stage_name(),
            pid: s.pid,
            generation: s.generation,
            t_ns: s.t_ns,
            uptime_s: rounded(s.t_ns.saturating_sub(s.started_ns) as f64 / 1e9),
            fps: s.fps(),
            frames: s.frames_total,
            rss_kib: s.rss_kib,
            cpu_us: s.cpu_us,
            cpu_system_us: s.cpu_system_us,
            rss_peak_kib: s.rss_peak_kib,
            readers: s.readers,
            leases: s.leases,
            taps: s.taps,
            queue_age_ms: ms(s.queue_age_us),
            data_age_ms: (s.newest_ns != 0)
                .then(|| rounded(s.t_ns.saturating_sub(s.newest_ns) as f64 / 1e6)),
            detections: s.detections_total,
            counters: CountersJson {
                lost: s.lost_total,
                dropped: s.dropped_total,
                skipped_busy: s.skipped_busy_total,
                skipped_undecodable: s.skipped_undecodable_total,
                skipped_no_signal: s.skipped_no_signal_total,
                missed: s.missed_total,
                presented: s.presented_total,
                unbalanced: s.unbalanced_total,
            },
            what: s.what(),
            backend: (backend != Backend::None).then(|| backend.name()),
            backend_choice: (!description.is_empty()).then(|| description.to_owned()),
            metrics: Pairs(metrics.collect()),
        }
    }
}

/// The metadata of one frame.
#[derive(Clone, Debug, Serialize)]
pub struct FrameJson {
    /// Which frame, and its size.
    #[serde(flatten)]
    pub id: FrameIdJson,
    /// V4L2 name of the pixel format; null: unknown to this version.
    pub format: Option<&'static str>,
    /// Bytes per line; 0 for compressed formats.
    pub stride: u32,
    /// Bytes of the payload.
    pub bytes: u64,
    /// The source has no picture.
    pub no_signal: bool,
    /// The driver marked the frame as damaged.
    pub driver_error: bool,
    /// Drawn by `synth:`.
    pub synthetic: bool,
    /// The driver gave no usable time: the sensor time is when capture had the frame.
    pub host_time: bool,
    /// The sensor time is that of the beginning of the exposure.
    pub exposure_time: bool,
    /// Frames the driver lost in this generation.
    pub lost: u64,
    /// Frames dropped in this generation because every slot was leased.
    pub dropped: u64,
    /// CLOCK_MONOTONIC nanoseconds: sensor, dequeued, published.
    pub times_ns: Pairs<u64>,
    /// When capture had the first frame of the row that carries this same `number`, `time`, `picture`: the frame's own
    /// dequeued time if it is new. Empty from a writer before 1.2.
    pub new_since_ns: Pairs<u64>,
}

impl FrameJson {
    /// The metadata in words.
    #[must_use]
    pub fn new(m: &FrameMeta) -> Self {
        let new = [
            ("number", m.t_new_number),
            ("time", m.t_new_time),
            ("picture", m.t_new_picture),
        ];
        Self {
            id: FrameIdJson {
                generation: m.generation,
                seq: m.seq,
                driver_seq: m.driver_seq,
                width: m.width,
                height: m.height,
            },
            format: m.format().map(|f| f.name()),
            stride: m.stride,
            bytes: m.bytes_used,
            no_signal: m.has(FrameFlags::NO_SIGNAL),
            driver_error: m.has(FrameFlags::DRIVER_ERROR),
            synthetic: m.has(FrameFlags::SYNTHETIC),
            host_time: m.has(FrameFlags::HOST_TIME),
            exposure_time: m.has(FrameFlags::EXPOSURE_TIME),
            lost: m.lost_total,
            dropped: m.dropped_total,
            times_ns: Pairs(
                Times::NAMES
                    .into_iter()
                    .zip([m.t_sensor, m.t_dequeued, m.t_published])
                    .collect(),
            ),
            new_since_ns: Pairs(new.into_iter().filter(|(_, ns)| *ns != 0).collect()),
        }
    }
}

#[cfg(test)]
mod tests;
