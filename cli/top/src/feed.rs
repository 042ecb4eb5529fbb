//! Fills the model from the taps. Nothing here waits, and nothing that a stage does can keep it waiting.

use crate::model::Model;
use hanja_record::{StageName, Taps};
use hanja_ring::{Sample, now_ns};
use hanja_stage::liveness::Presence;
use std::path::Path;
use std::time::Duration;

/// A stage that floods its statistics does not keep us from the others.
const MOST: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    taps: Taps,
    sample: Sample,
}

impl Feed {
    /// Attaches when first asked to look.
    pub(crate) fn new(runtime_dir: &Path) -> Self {
        Self {
            taps: Taps::new(runtime_dir),
            sample: Sample::default(),
        }
    }

    /// What is new since the last look: all statistics in order, of frames and detections the newest.
    pub(crate) fn look(&mut self, model: &mut Model) {
        let (taps, sample) = (&mut self.taps, &mut self.sample);
        for (name, tap) in StageName::ALL.into_iter().zip(&mut taps.stats) {
            for _ in 0..MOST {
                if !tap.next(sample, Duration::ZERO) {
                    break;
                }
                model.take_stats(name, &sample.payload, now_ns());
            }
            model.snapshot_mut(name).meet(tap.presence(), now_ns());
        }
        if let Some(meta) = taps.newest_frame(sample) {
            model.take_frame(&meta, now_ns());
        }
        if taps.records.newest(sample, Duration::ZERO) {
            model.take_found(&sample.payload);
        }
        let now = now_ns();
        for (name, tap) in StageName::ALL.into_iter().zip(&taps.stats) {
            let other = match name {
                StageName::Capture => taps.frames.attached(),
                StageName::Infer => taps.records.attached(),
                StageName::Render => false,
            };
            model.set_own(name, u32::from(tap.attached()) + u32::from(other), now);
        }
    }

    /// Every stage has answered, or is known not to be there.
    pub(crate) fn answered(&self) -> bool {
        !self.taps.unanswered()
    }

    /// Every stage that is there has said what it has to say: two records, for rates need two.
    pub(crate) fn settled(&self, model: &Model) -> bool {
        let mut all = StageName::ALL.into_iter().zip(&self.taps.stats);
        all.all(|(name, tap)| match tap.presence() {
            Presence::Absent | Presence::Refused(_) => true,
            Presence::Attached => model.stage(name).heard() >= 2,
            Presence::Unknown | Presence::Silent { .. } => false,
        })
    }
}
