//! Taps on all that a pipeline publishes.

use crate::{FrameMeta, StageName, Topic};
use hanja_ring::{Presence, Sample, TapSubscriber};
use std::path::Path;
use std::time::Duration;
use zerocopy::FromBytes;

/// One pipeline's topics. Each attaches when first asked for something: what is never asked for costs nothing.
#[derive(Debug)]
pub struct Taps {
    /// Of capture, infer, render.
    pub stats: [TapSubscriber; 3],
    /// The pictures.
    pub frames: TapSubscriber,
    /// Infer's records.
    pub records: TapSubscriber,
    /// The same once more, with render's times.
    pub presented: TapSubscriber,
}

impl Taps {
    /// Attaches to nothing yet.
    #[must_use]
    pub fn new(runtime_dir: &Path) -> Self {
        let only = |topic: Topic| topic.tap(runtime_dir, topic.publishers()[0]);
        Self {
            stats: StageName::ALL.map(|stage| Topic::Stats.tap(runtime_dir, stage)),
            frames: only(Topic::Frames),
            records: only(Topic::Detections),
            presented: only(Topic::Presented),
        }
    }

    /// The newest frame not yet seen, without waiting for it. The metadata only: pictures are large.
    pub fn newest_frame(&mut self, sample: &mut Sample) -> Option<FrameMeta> {
        self.frames.peek_newest(sample, Duration::ZERO)?;
        let (meta, _) = FrameMeta::read_from_prefix(&sample.meta).ok()?;
        Some(meta)
    }

    /// Whether a stage may still answer for its statistics, the frames or the records: it has been asked, and is neither
    /// attached nor known to be absent.
    #[must_use]
    pub fn unanswered(&self) -> bool {
        let all = self.stats.iter().chain([&self.frames, &self.records]);
        all.map(TapSubscriber::presence)
            .any(|p| matches!(p, Presence::Unknown | Presence::Silent { .. }))
    }
}
