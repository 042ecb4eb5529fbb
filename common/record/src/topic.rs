//! The topics of the pipeline, and how one reads them.

use crate::StageName;
use hanja_ring::{Advice, LeaseSubscriber, TapSubscriber};
use std::path::Path;

/// What to do about a stage that cannot be read.
const ADVICE: Advice = Advice {
    absent: "start it with: hanja run, or name its runtime directory",
    denied: "its owner may, and the socket's group; to read along with the installed service: sudo usermod -aG hanja-tap $USER, and log in again",
};

/// What a ring carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Topic {
    /// Pictures, served by capture: [`FrameMeta`](crate::FrameMeta) and the camera's bytes.
    Frames = 1,
    /// [Detection records](crate::DetectionRecord), served by infer.
    Detections = 2,
    /// One [`StageStats`](crate::StageStats) a second, served by every stage.
    Stats = 3,
    /// What `synth:` drew where, as detection records; served by capture on request.
    Truth = 4,
    /// Detection records as render handled them, with its own times; served by render.
    Presented = 5,
}

impl Topic {
    /// All, by number.
    pub const ALL: [Topic; 5] = [
        Self::Frames,
        Self::Detections,
        Self::Stats,
        Self::Truth,
        Self::Presented,
    ];

    /// The name used on the command line and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Detections => "detections",
            Self::Stats => "stats",
            Self::Truth => "truth",
            Self::Presented => "presented",
        }
    }

    /// The stages that serve it, in the order in which a frame passes.
    #[must_use]
    pub const fn publishers(self) -> &'static [StageName] {
        match self {
            Self::Frames | Self::Truth => &[StageName::Capture],
            Self::Detections => &[StageName::Infer],
            Self::Presented => &[StageName::Render],
            Self::Stats => &StageName::ALL,
        }
    }

    /// Taps on it, one for each stage that serves it. They attach when first asked for something.
    #[must_use]
    pub fn taps(self, runtime_dir: &Path) -> Vec<TapSubscriber> {
        let stages = self.publishers().iter();
        stages.map(|stage| self.tap(runtime_dir, *stage)).collect()
    }

    /// As the ring knows it.
    #[must_use]
    pub const fn ring(self) -> hanja_ring::Topic {
        hanja_ring::Topic::new(self as u16, self.name())
    }

    /// A tap on this topic of `stage`, whose sockets are in `runtime_dir`.
    #[must_use]
    pub fn tap(self, runtime_dir: &Path, stage: StageName) -> TapSubscriber {
        TapSubscriber::new(runtime_dir, stage.name(), self.ring(), ADVICE)
    }

    /// Leases on this topic of `stage`, at most `quota` (1 to 4) at a time.
    #[must_use]
    pub fn lease(self, runtime_dir: &Path, stage: StageName, quota: u32) -> LeaseSubscriber {
        LeaseSubscriber::new(runtime_dir, stage.name(), self.ring(), quota, ADVICE)
    }
}
