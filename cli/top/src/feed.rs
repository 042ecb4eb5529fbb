//! Fills the model from the taps. Nothing here waits, and nothing that a stage does can keep it waiting.

use crate::model::Model;
use hanja_record::{FrameMeta, StageName, Topic};
use hanja_ring::{Sample, TapSubscriber, now_ns};
use hanja_stage::liveness::Presence;
use std::path::Path;
use std::time::Duration;
use zerocopy::FromBytes;

/// A stage that floods its statistics does not keep us from the others.
const MOST: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    stats: [(StageName, TapSubscriber); 3],
    frames: TapSubscriber,
    records: TapSubscriber,
    sample: Sample,
}

impl Feed {
    /// Attaches when first asked to look.
    pub(crate) fn new(runtime_dir: &Path) -> Self {
        let tap = |stage, topic: Topic| topic.tap(runtime_dir, stage);
        Self {
            stats: StageName::ALL.map(|name| (name, tap(name, Topic::Stats))),
            frames: tap(StageName::Capture, Topic::Frames),
            records: tap(StageName::Infer, Topic::Detections),
            sample: Sample::default(),
        }
    }

    /// What is new since the last look: all statistics in order, of frames and detections the newest.
    pub(crate) fn look(&mut self, model: &mut Model) {
        let sample = &mut self.sample;
        for (name, tap) in &mut self.stats {
            for _ in 0..MOST {
                if !tap.next(sample, Duration::ZERO) {
                    break;
                }
                model.take_stats(*name, &sample.payload, now_ns());
            }
            model.sight_mut(*name).meet(tap.presence(), now_ns());
        }
        // Of a frame its metadata alone: pictures are large.
        if self.frames.peek_newest(sample, Duration::ZERO).is_some()
            && let Ok((meta, _)) = FrameMeta::read_from_prefix(&sample.meta)
        {
            model.take_frame(&meta, now_ns());
        }
        if self.records.newest(sample, Duration::ZERO) {
            model.take_found(&sample.payload);
        }
        let now = now_ns();
        for (name, tap) in &self.stats {
            let other = match name {
                StageName::Capture => self.frames.attached(),
                StageName::Infer => self.records.attached(),
                StageName::Render => false,
            };
            model.set_own(*name, u32::from(tap.attached()) + u32::from(other), now);
        }
    }

    /// Every stage has answered, or is known not to be there.
    pub(crate) fn answered(&self) -> bool {
        let waits = |tap: &TapSubscriber| {
            matches!(tap.presence(), Presence::Unknown | Presence::Silent { .. })
        };
        !self.stats.iter().any(|(_, tap)| waits(tap))
            && !waits(&self.frames)
            && !waits(&self.records)
    }

    /// Every stage that is there has said what it has to say: two records, for rates need two.
    pub(crate) fn settled(&self, model: &Model) -> bool {
        self.stats.iter().all(|(name, tap)| match tap.presence() {
            Presence::Absent | Presence::Refused(_) => true,
            Presence::Attached => model.stage(*name).heard() >= 2,
            Presence::Unknown | Presence::Silent { .. } => false,
        })
    }
}
