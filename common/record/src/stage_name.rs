//! The names of the three daemons.

/// The three daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum StageName {
    /// Camera to frames.
    Capture = 1,
    /// Frames to detections.
    Infer = 2,
    /// Detections to people.
    Render = 3,
}

impl StageName {
    /// In the order in which a frame passes.
    pub const ALL: [StageName; 3] = [Self::Capture, Self::Infer, Self::Render];

    /// From the number in records and of the C interface.
    #[must_use]
    pub fn from_u16(n: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u16 == n)
    }

    /// The name of subcommand, socket and log prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Infer => "infer",
            Self::Render => "render",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StageStats;

    #[test]
    fn records_call_the_stages_by_the_same_names() {
        for stage in StageName::ALL {
            assert_eq!(StageName::from_u16(stage as u16), Some(stage));
            assert_eq!(StageStats::new(stage as u16).stage_name(), stage.name());
        }
        assert_eq!(StageStats::new(0).stage_name(), "unknown");
        assert_eq!(StageStats::new(4).stage_name(), "unknown");
    }
}
