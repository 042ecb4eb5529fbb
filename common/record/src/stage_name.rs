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
