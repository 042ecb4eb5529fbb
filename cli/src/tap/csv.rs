//! Rows for spreadsheets and data frames, as RFC 4180 has them: a header, CRLF, quotes where needed. Units stand in the
//! names of the columns; `docs/tap.md` has them in a table. Columns are only ever added at the end.

use hanja_record::json::{FrameJson, RecordJson, StatsJson};
use hanja_record::{DetectionRecord, FrameMeta, MetricId, StageStats};
use hanja_ring::now_ns;
use std::time::{Duration, SystemTime};

const STATS: [&str; 19] = [
    "time",
    "stage",
    "pid",
    "generation",
    "t_ns",
    "uptime_s",
    "fps",
    "frames_total",
    "cpu_us",
    "rss_kib",
    "readers",
    "lost_total",
    "dropped_total",
    "skipped_busy_total",
    "skipped_undecodable_total",
    "skipped_no_signal_total",
    "backend",
    "what",
    "queue_age_us",
];
/// Behind the latencies: what was added later.
const MORE_STATS: [&str; 8] = [
    "leases",
    "taps",
    "cpu_system_us",
    "rss_peak_kib",
    "missed_total",
    "presented_total",
    "unbalanced_total",
    "detections_total",
];
/// Behind the name of each latency.
const LATENCY: [&str; 5] = ["count", "p50_us", "p90_us", "p99_us", "max_us"];

const DETECTIONS: [&str; 22] = [
    "time",
    "frame_generation",
    "frame_seq",
    "driver_seq",
    "t_sensor_ns",
    "end_to_end_ms",
    "status",
    "backend",
    "frame_width",
    "frame_height",
    "detections",
    "class",
    "label",
    "score",
    "x1",
    "y1",
    "x2",
    "y2",
    "track",
    "candidates",
    "suppressed",
    "capped",
];

const FRAMES: [&str; 18] = [
    "time",
    "generation",
    "seq",
    "driver_seq",
    "format",
    "width",
    "height",
    "stride",
    "bytes",
    "flags",
    "t_sensor_ns",
    "t_dequeued_ns",
    "t_published_ns",
    "lost_total",
    "dropped_total",
    "t_new_number_ns",
    "t_new_time_ns",
    "t_new_picture_ns",
];

/// The text of rows.
pub(super) struct Rows(Vec<u8>);

impl Rows {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn row<T: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
        let mut builder = ::csv::WriterBuilder::new();
        let mut writer = builder
            .terminator(::csv::Terminator::CRLF)
            .from_writer(&mut self.0);
        writer.write_record(fields)?;
        Ok(writer.flush()?)
    }

    pub(super) fn stats_header(&mut self) -> anyhow::Result<()> {
        let fixed = STATS.iter().map(|name| (*name).to_owned());
        let latencies = MetricId::ALL
            .iter()
            .flat_map(|id| LATENCY.map(|what| format!("{}_{what}", id.name())));
        let more = MORE_STATS.iter().map(|name| (*name).to_owned());
        self.row(fixed.chain(latencies).chain(more))
    }

    pub(super) fn stats(&mut self, s: &StageStats) -> anyhow::Result<()> {
        let json = StatsJson::new(s, "");
        let mut fields = vec![
            wall(s.t_ns),
            json.stage.into(),
            s.pid.to_string(),
            s.generation.to_string(),
            s.t_ns.to_string(),
            json.uptime_s.to_string(),
            s.fps().to_string(),
            s.frames_total.to_string(),
            s.cpu_us.to_string(),
            s.rss_kib.to_string(),
            s.readers.to_string(),
            s.lost_total.to_string(),
            s.dropped_total.to_string(),
            s.skipped_busy_total.to_string(),
            s.skipped_undecodable_total.to_string(),
            s.skipped_no_signal_total.to_string(),
            json.backend.unwrap_or_default().into(),
            s.what(),
            s.queue_age_us.to_string(),
        ];
        for id in MetricId::ALL {
            match s.metric(id).filter(|m| m.count > 0) {
                Some(m) => fields.extend(
                    [m.count, m.p50_us, m.p90_us, m.p99_us, m.max_us].map(|n| n.to_string()),
                ),
                None => fields.extend(LATENCY.map(|_| String::new())),
            }
        }
        let more: [u64; MORE_STATS.len()] = [
            s.leases.into(),
            s.taps.into(),
            s.cpu_system_us,
            s.rss_peak_kib.into(),
            s.missed_total,
            s.presented_total,
            s.unbalanced_total,
            s.detections_total,
        ];
        fields.extend(more.map(|n| n.to_string()));
        self.row(fields)
    }

    pub(super) fn detections_header(&mut self) -> anyhow::Result<()> {
        self.row(DETECTIONS)
    }

    /// A row per detection, and one without any for a frame in which there is none.
    pub(super) fn detections(&mut self, record: &DetectionRecord) -> anyhow::Result<()> {
        let (json, h) = (RecordJson::new(record), &record.header);
        let time = wall(h.times.sensor);
        let mut row = |found: [String; 8]| {
            let before = [
                time.clone(),
                h.frame_generation.to_string(),
                h.frame_seq.to_string(),
                h.driver_seq.to_string(),
                h.times.sensor.to_string(),
                json.end_to_end_ms.to_string(),
                json.status.into(),
                json.backend.into(),
                h.frame_width.to_string(),
                h.frame_height.to_string(),
                json.detections.len().to_string(),
            ];
            let behind = [h.candidates, h.suppressed, h.capped].map(|n| n.to_string());
            self.row(before.into_iter().chain(found).chain(behind))
        };
        if record.detections.is_empty() {
            return row(Default::default());
        }
        for (d, named) in record.detections.iter().zip(&json.detections) {
            let [x1, y1, x2, y2] = named.bbox.map(|n| n.to_string());
            let (class, score, track) = (
                d.class.to_string(),
                d.score.to_string(),
                d.track.to_string(),
            );
            row([class, named.label.clone(), score, x1, y1, x2, y2, track])?;
        }
        Ok(())
    }

    pub(super) fn frames_header(&mut self) -> anyhow::Result<()> {
        self.row(FRAMES)
    }

    pub(super) fn frame(&mut self, m: &FrameMeta) -> anyhow::Result<()> {
        let format = FrameJson::new(m).format.unwrap_or_default();
        self.row([
            wall(m.t_sensor),
            m.generation.to_string(),
            m.seq.to_string(),
            m.driver_seq.to_string(),
            format.into(),
            m.width.to_string(),
            m.height.to_string(),
            m.stride.to_string(),
            m.bytes_used.to_string(),
            m.flags.to_string(),
            m.t_sensor.to_string(),
            m.t_dequeued.to_string(),
            m.t_published.to_string(),
            m.lost_total.to_string(),
            m.dropped_total.to_string(),
            m.t_new_number.to_string(),
            m.t_new_time.to_string(),
            m.t_new_picture.to_string(),
        ])
    }
}

/// The wall clock's time of a stamp of CLOCK_MONOTONIC, UTC, to the millisecond.
fn wall(stamp: u64) -> String {
    let ago = Duration::from_nanos(now_ns().saturating_sub(stamp));
    let time = SystemTime::now()
        .checked_sub(ago)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::Detection;

    fn parsed(rows: &Rows) -> Vec<Vec<String>> {
        let text = std::str::from_utf8(rows.bytes()).unwrap();
        assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains('\r'));
        let mut reader = ::csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).from_reader(rows.bytes());
        let row =
            |r: Result<::csv::StringRecord, _>| r.unwrap().iter().map(str::to_owned).collect();
        reader.records().map(row).collect() // equal lengths, or an error
    }

    #[test]
    fn rows_fit_their_headers() {
        let mut rows = Rows::new();
        rows.stats_header().unwrap();
        let mut s = StageStats::new(2);
        s.set_what("a \"model\", in\nlines");
        s.metrics[0].id = MetricId::Inference as u16;
        (s.metrics[0].count, s.metrics[0].p50_us) = (3, 9);
        rows.stats(&s).unwrap();
        let table = parsed(&rows);
        let at = |name: &str| table[0].iter().position(|n| n == name).unwrap();
        assert_eq!(table[1][at("what")], "a \"model\", in\nlines");
        assert_eq!(table[1][at("inference_p50_us")], "9");
        assert_eq!(table[1][at("queue_p50_us")], "");

        let mut rows = Rows::new();
        rows.frames_header().unwrap();
        rows.frame(&FrameMeta::zeroed()).unwrap();
        assert_eq!(parsed(&rows).len(), 2);
    }

    #[test]
    fn a_frame_without_detections_has_a_row() {
        let mut rows = Rows::new();
        rows.detections_header().unwrap();
        let mut record = DetectionRecord::default();
        rows.detections(&record).unwrap();
        record.detections = vec![
            Detection {
                class: 2,
                score: 0.5,
                ..Default::default()
            };
            2
        ];
        rows.detections(&record).unwrap();
        let table = parsed(&rows);
        let at = |name: &str| table[0].iter().position(|n| n == name).unwrap();
        let column = |name: &str| {
            table[1..]
                .iter()
                .map(|r| r[at(name)].as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(column("label"), ["", "三", "三"]);
        assert_eq!(column("detections"), ["0", "2", "2"]);
    }

    #[test]
    fn times_are_of_the_wall() {
        let now = wall(now_ns());
        assert!(
            now.ends_with('Z') && now.len() == "2026-01-01T00:00:00.000Z".len(),
            "{now}"
        );
    }
}
