//! Stage statistics: what each stage says about itself once a second on its `stats` topic.

#[cfg(doc)]
use crate::Times;
use crate::{
    ABI_MAJOR, ABI_MINOR, Histogram, HistogramRecord, Histograms, Metric, MetricId, RecordError,
    StageName,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const MAGIC: u32 = u32::from_le_bytes(*b"HJST");

/// One second of a stage's life, 640 bytes; since version 1.1 followed by [`words_len`](Self::words_len) bytes of
/// words, since 1.2 by histograms at [`histograms_at`](Self::histograms_at). Fields "since 1.2" are 0 from older
/// writers.
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
    /// See [`crate::Backend`]; infer only.
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
    /// Since 1.2: where the histograms begin, bytes from the beginning of this record, a multiple of 8.
    pub histograms_at: u32,
    /// Since 1.2: how many there are, at most 11, see [`histograms_in`](Self::histograms_in).
    pub histogram_count: u16,
    /// Since 1.2: bytes from one to the next, 784; step by it, it may grow.
    pub histogram_len: u16,
    /// Since 1.2: of [`readers`](Self::readers), those that lease slots (stages).
    pub leases: u32,
    /// Since 1.2: of [`readers`](Self::readers), those that only look (taps).
    pub taps: u32,
    /// Since 1.2: the part of [`cpu_us`](Self::cpu_us) that was spent in the kernel.
    pub cpu_system_us: u64,
    /// Since 1.2: most resident memory since the process started, KiB.
    pub rss_peak_kib: u32,
    /// Since 1.2: the longest that any input taken in the last second had been waiting, microseconds: frames
    /// (infer), records (render).
    pub queue_age_us: u32,
    /// Since 1.2: detections in all records published (infer) or handled (render) since the process started.
    pub detections_total: u64,
    /// Source (capture), model (infer) or address (render) in words, UTF-8, zero-padded.
    pub what: [u8; 128],
    /// Latencies.
    pub metrics: [Metric; 12],
    /// Since 1.2: records that were overwritten before this stage read them (render).
    pub missed_total: u64,
    /// Since 1.2: pictures whose first byte left (render).
    pub presented_total: u64,
    /// Since 1.2: frames whose times or counts did not add up: a bug if it is not 0.
    pub unbalanced_total: u64,
    /// Zero.
    pub reserved1: [u64; 5],
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Metric>() == 24);
    assert!(size_of::<StageStats>() == 640);
    assert!(offset_of!(StageStats, t_ns) == 16);
    assert!(offset_of!(StageStats, words_len) == 116);
    assert!(offset_of!(StageStats, histograms_at) == 120);
    assert!(offset_of!(StageStats, cpu_system_us) == 136);
    assert!(offset_of!(StageStats, detections_total) == 152);
    assert!(offset_of!(StageStats, what) == 160);
    assert!(offset_of!(StageStats, metrics) == 288);
    assert!(offset_of!(StageStats, missed_total) == 576);
};

impl StageStats {
    /// Most bytes of words behind a record.
    pub const MAX_WORDS: usize = 384;
    /// Most histograms behind a record; no stage measures everything.
    pub const MAX_HISTOGRAMS: usize = 11;
    /// Where this version puts the histograms: behind the room for the words.
    const HISTOGRAMS_AT: usize = size_of::<Self>() + Self::MAX_WORDS;
    /// Most bytes of a record with its words and histograms. Not more than a detection record may have: readers of
    /// 1.1 were told to have room for that.
    pub const MAX_BYTES: usize =
        Self::HISTOGRAMS_AT + Self::MAX_HISTOGRAMS * size_of::<HistogramRecord>();

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

    /// Name of the stage that writes, in JSON.
    #[must_use]
    pub fn stage_name(&self) -> &'static str {
        StageName::from_u16(self.stage).map_or("unknown", StageName::name)
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

    /// Writes the whole record to `out` (after clearing it): this head, the words, the histograms, of which empty ones
    /// are left out. Never allocates once `out` has [`Self::MAX_BYTES`].
    pub fn encode_into<'h>(
        &mut self,
        words: &str,
        histograms: impl IntoIterator<Item = (MetricId, &'h Histogram)>,
        out: &mut Vec<u8>,
    ) {
        let words = self.set_words(words);
        out.clear();
        out.resize(size_of::<Self>(), 0);
        out.extend_from_slice(words.as_bytes());
        out.resize(Self::HISTOGRAMS_AT, 0);
        self.histogram_count = 0;
        let measured = histograms.into_iter().filter(|(_, h)| h.count() > 0);
        for (id, histogram) in measured.take(Self::MAX_HISTOGRAMS) {
            out.extend_from_slice(histogram.to_record(id).as_bytes());
            self.histogram_count += 1;
        }
        self.histograms_at = Self::HISTOGRAMS_AT as u32;
        self.histogram_len = size_of::<HistogramRecord>() as u16;
        out[..size_of::<Self>()].copy_from_slice(self.as_bytes());
    }

    /// The histograms behind this record in the `bytes` that it was read from, cumulative since the process started:
    /// of two records, [`Histograms::since`] gives what was between them. Empty before 1.2. Those that are cut short
    /// or not known to this version are left out.
    #[must_use]
    pub fn histograms_in(&self, bytes: &[u8]) -> Histograms {
        let mut all = Histograms::default();
        let len = usize::from(self.histogram_len);
        if len < size_of::<HistogramRecord>() {
            return all;
        }
        let behind = bytes.get(self.histograms_at as usize..).unwrap_or_default();
        let most = usize::from(self.histogram_count).min(Self::MAX_HISTOGRAMS);
        for chunk in behind.chunks_exact(len).take(most) {
            if let Ok((record, _)) = HistogramRecord::read_from_prefix(chunk)
                && let id = MetricId::from_u16(record.id)
                && id != MetricId::None
            {
                all.add(id, &Histogram::from(&record));
            }
        }
        all
    }

    /// What was not handled since the process started, by reason: `lost` (in the driver) and `ring_full` of capture,
    /// `busy`, `undecodable` and `no_signal` of infer, `missed` of render. Only the reasons of the record's stage.
    #[must_use]
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        match self.stage {
            1 => vec![("lost", self.lost_total), ("ring_full", self.dropped_total)],
            2 => vec![
                ("busy", self.skipped_busy_total),
                ("undecodable", self.skipped_undecodable_total),
                ("no_signal", self.skipped_no_signal_total),
            ],
            3 => vec![("missed", self.missed_total)],
            _ => vec![],
        }
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
mod tests;
