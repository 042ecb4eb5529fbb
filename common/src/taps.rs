//! Taps on all that a pipeline publishes: which stage serves what stands here, once.

use crate::TapSubscriber;
use crate::control::Presence;
use crate::record::FrameMeta;
use crate::ring::{Sample, Topic};
use crate::stage::StageName;
use std::path::Path;
use std::time::Duration;
use zerocopy::FromBytes;

/// The stages that serve a topic, in the order in which a frame passes.
#[must_use]
pub const fn publishers(topic: Topic) -> &'static [StageName] {
    match topic {
        Topic::Frames | Topic::Truth => &[StageName::Capture],
        Topic::Detections => &[StageName::Infer],
        Topic::Presented => &[StageName::Render],
        Topic::Stats => &StageName::ALL,
    }
}

/// Taps on a topic, one for each stage that serves it. They attach when first asked for something.
#[must_use]
pub fn taps_of(runtime_dir: &Path, topic: Topic) -> Vec<TapSubscriber> {
    let tap = |stage: &StageName| TapSubscriber::new(runtime_dir, *stage, topic);
    publishers(topic).iter().map(tap).collect()
}

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
        let only = |topic| TapSubscriber::new(runtime_dir, publishers(topic)[0], topic);
        Self {
            stats: StageName::ALL.map(|stage| TapSubscriber::new(runtime_dir, stage, Topic::Stats)),
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
