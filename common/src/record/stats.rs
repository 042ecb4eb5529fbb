//! Stage statistics: what each stage says about itself once a second on its `stats` topic.

use crate::record::{ABI_MAJOR, ABI_MINOR, RecordError};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const MAGIC: u32 = u32::from_le_bytes(*b"HJST");

/// Which latency a [`Metric`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum MetricId {
    /// Unused entry.
    None = 0,
    /// Sensor to dequeued.
    Dequeue = 1,
    /// Dequeued to published.
    Publish = 2,
    /// Published to leased by infer.
    Queue = 3,
    /// Decode, colour, letterbox.
    Preprocess = 4,
    /// Input tensor ready to handed to the backend.
    Submit = 5,
    /// The backend.
    Inference = 6,
    /// Box decoding and suppression.
    Postprocess = 7,
    /// Postprocessed to visible in the detections ring.
    Announce = 8,
    /// Visible to held by render.
    Deliver = 9,
    /// Held by render to first byte out.
    Present = 10,
    /// Sensor to detections visible.
    EndToEnd = 11,
}

impl MetricId {
    const ALL: [Self; 11] = [
        Self::Dequeue,
        Self::Publish,
        Self::Queue,
        Self::Preprocess,
        Self::Submit,
        Self::Inference,
        Self::Postprocess,
        Self::Announce,
        Self::Deliver,
        Self::Present,
        Self::EndToEnd,
    ];

    /// From the number in a record.
    #[must_use]
    pub fn from_u16(n: u16) -> Self {
        Self::ALL
            .into_iter()
            .find(|m| *m as u16 == n)
            .unwrap_or(Self::None)
    }

    /// The name used in logs, summaries and metrics; the same as in [`crate::record::Times::stages_ms`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dequeue => "dequeue",
            Self::Publish => "publish",
            Self::Queue => "queue",
            Self::Preprocess => "preprocess",
            Self::Submit => "submit",
            Self::Inference => "inference",
            Self::Postprocess => "postprocess",
            Self::Announce => "announce",
            Self::Deliver => "deliver",
            Self::Present => "present",
            Self::EndToEnd => "end_to_end",
        }
    }
}

/// Latency over the last second, microseconds.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Metric {
    /// See [`MetricId`].
    pub id: u16,
    /// Zero.
    pub reserved: u16,
    /// Samples.
    pub count: u32,
    /// Median.
    pub p50_us: u32,
    /// 90th percentile.
    pub p90_us: u32,
    /// 99th percentile.
    pub p99_us: u32,
    /// Largest.
    pub max_us: u32,
}

/// One second of a stage's life, 640 bytes; since version 1.1 followed by [`words_len`](Self::words_len) bytes of words.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct StageStats {
    /// `HJST`.
    pub magic: u32,
    /// See [`ABI_MAJOR`].
    pub abi_major: u16,
    /// See [`ABI_MINOR`].
    pub abi_minor: u16,
    /// 1 capture, 2 infer, 3 render.
    pub stage: u16,
    /// See [`crate::record::Backend`]; infer only.
    pub backend: u16,
    /// Process id.
    pub pid: u32,
    /// When written, CLOCK_MONOTONIC nanoseconds.
    pub t_ns: u64,
    /// When the process started.
    pub started_ns: u64,
    /// Generation of the topic the stage writes (frames or detections).
    pub generation: u64,
    /// Frames published (capture), frames looked at (infer) or records handled (render) since the process started.
    pub frames_total: u64,
    /// Frames per second over the last second, times 1000.
    pub fps_milli: u32,
    /// Resident memory in KiB.
    pub rss_kib: u32,
    /// CPU time of the process in microseconds.
    pub cpu_us: u64,
    /// Frames lost in the driver (capture).
    pub lost_total: u64,
    /// Frames dropped because every slot was leased (capture).
    pub dropped_total: u64,
    /// Frames passed over because a newer one was there (infer).
    pub skipped_busy_total: u64,
    /// Frames that could not be decoded (infer).
    pub skipped_undecodable_total: u64,
    /// Frames without signal (infer).
    pub skipped_no_signal_total: u64,
    /// When the newest frame this stage handled left the sensor: data age.
    pub newest_ns: u64,
    /// Processes attached to this stage's rings.
    pub readers: u32,
    /// Bytes of [`words_in`](Self::words_in) behind this record, at most 384; 0 from a writer of version 1.0.
    pub words_len: u32,
    /// Zero.
    pub reserved: [u64; 5],
    /// Source (capture), model (infer) or address (render) in words, UTF-8, zero-padded.
    pub what: [u8; 128],
    /// Latencies.
    pub metrics: [Metric; 12],
    /// Zero.
    pub reserved1: [u64; 8],
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Metric>() == 24);
    assert!(size_of::<StageStats>() == 640);
    assert!(offset_of!(StageStats, t_ns) == 16);
    assert!(offset_of!(StageStats, words_len) == 116);
    assert!(offset_of!(StageStats, what) == 160);
    assert!(offset_of!(StageStats, metrics) == 288);
};

impl StageStats {
    /// Most bytes of words behind a record.
    pub const MAX_WORDS: usize = 384;
    /// Most bytes of a record with its words.
    pub const MAX_BYTES: usize = size_of::<Self>() + Self::MAX_WORDS;

    /// An empty record of a stage (1 capture, 2 infer, 3 render).
    #[must_use]
    pub fn new(stage: u16) -> Self {
        let mut s: Self =
            FromBytes::read_from_bytes(&[0; 640]).expect("640 zero bytes are a StageStats");
        s.magic = MAGIC;
        s.abi_major = ABI_MAJOR;
        s.abi_minor = ABI_MINOR;
        s.stage = stage;
        s
    }

    /// Reads a record as it stands in the ring.
    ///
    /// # Errors
    /// Short, foreign or incompatible bytes, see [`RecordError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let (s, _) = Self::read_from_prefix(bytes).map_err(|_| RecordError::Short {
            got: bytes.len(),
            needed: 640,
        })?;
        if s.magic != MAGIC {
            return Err(RecordError::Magic {
                what: "stats",
                magic: s.magic,
            });
        }
        if s.abi_major != ABI_MAJOR {
            return Err(RecordError::Version(s.abi_major));
        }
        Ok(s)
    }

    /// Frames per second over the last second.
    #[must_use]
    pub fn fps(&self) -> f64 {
        f64::from(self.fps_milli) / 1000.0
    }

    /// Sets [`what`](Self::what), cut at 128 bytes on a character boundary.
    pub fn set_what(&mut self, text: &str) {
        let text = cut(text, self.what.len());
        self.what = [0; 128];
        self.what[..text.len()].copy_from_slice(text.as_bytes());
    }

    /// Sets [`words_len`](Self::words_len) for a text and returns what to write behind the record: the text, cut at 384
    /// bytes on a character boundary.
    pub fn set_words<'t>(&mut self, text: &'t str) -> &'t str {
        let text = cut(text, Self::MAX_WORDS);
        self.words_len = text.len() as u32;
        text
    }

    /// The words behind this record in the `bytes` that it was read from: of infer, its backend and why better ones
    /// were not taken. Damaged bytes are replaced, and a length that is not there is cut.
    #[must_use]
    pub fn words_in(&self, bytes: &[u8]) -> String {
        let behind = bytes.get(size_of::<Self>()..).unwrap_or_default();
        let len = (self.words_len as usize)
            .min(Self::MAX_WORDS)
            .min(behind.len());
        String::from_utf8_lossy(&behind[..len]).into_owned()
    }

    /// [`what`](Self::what) as text, damaged bytes replaced.
    #[must_use]
    pub fn what(&self) -> String {
        let end = self
            .what
            .iter()
            .position(|b| *b == 0)
            .unwrap_or(self.what.len());
        String::from_utf8_lossy(&self.what[..end]).into_owned()
    }

    /// The latency `id`, if the stage measured it.
    #[must_use]
    pub fn metric(&self, id: MetricId) -> Option<&Metric> {
        self.metrics.iter().find(|m| m.id == id as u16)
    }
}

/// The first `most` bytes of a text at most, cut on a character boundary.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let mut s = StageStats::new(2);
        s.set_what(&"三".repeat(60));
        s.metrics[1] = Metric {
            id: MetricId::Inference as u16,
            p50_us: 9,
            ..Default::default()
        };
        let back = StageStats::from_bytes(s.as_bytes()).unwrap();
        assert_eq!(back, s);
        assert_eq!(back.what(), "三".repeat(42));
        assert_eq!(back.metric(MetricId::Inference).unwrap().p50_us, 9);
        assert!(back.metric(MetricId::Queue).is_none());
        assert!(StageStats::from_bytes(&s.as_bytes()[..639]).is_err());
    }

    #[test]
    fn words_stand_behind_the_record() {
        let mut s = StageStats::new(2);
        assert_eq!(s.words_in(s.as_bytes()), "");
        let text = format!("a{}", "三".repeat(200));
        let words = s.set_words(&text);
        assert_eq!((words.len(), s.words_len), (382, 382));
        let bytes = [s.as_bytes(), words.as_bytes()].concat();
        let back = StageStats::from_bytes(&bytes).unwrap();
        assert_eq!(back.words_in(&bytes), words);
        // A length that is not true reads nothing else.
        assert_eq!(back.words_in(&bytes[..643]), "a\u{fffd}");
        assert_eq!(back.words_in(&bytes[..640]), "");
        assert_eq!(back.words_in(&[]), "");
        let liar = StageStats {
            words_len: u32::MAX,
            ..back
        };
        let long = [s.as_bytes(), &[b'x'; 1000]].concat();
        assert_eq!(liar.words_in(&long).len(), StageStats::MAX_WORDS);
    }
}
