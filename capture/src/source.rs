//! The interface between a source and the stage.

use hanja_record::{Detection, PixelFormat};
use std::path::PathBuf;
use std::time::Duration;

/// One frame, borrowed from its source until the next call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) format: PixelFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) stride: u32,
    pub(crate) bytes: &'a [u8],
    /// The source's own number; a gap is a frame lost before capture had it.
    pub(crate) driver_seq: u64,
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub(crate) t_sensor: u64,
    pub(crate) t_dequeued: u64,
    pub(crate) flags: u32,
    /// Ground truth: what is drawn where; `synth:` only.
    pub(crate) truth: &'a [Detection],
}

/// What happened while waiting for a frame.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Frame(Frame<'a>),
    /// Nothing within the time given.
    Idle,
    /// There will be no more.
    Ended,
}

/// A source of frames.
pub(crate) trait Source {
    /// Waits for the next frame, at most about `wait`, which is short: between two calls the caller handles signals. An
    /// error is final.
    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError>;

    /// Why there is no picture at present.
    fn trouble(&self) -> Option<&str> {
        None
    }

    /// The camera that `auto` found; none for sources that were named.
    fn found(&self) -> Option<&str> {
        None
    }

    /// Whether this source may rightly deliver nothing for a while. A camera may not: while it has no picture, it
    /// delivers flagged frames.
    fn may_pause(&self) -> bool {
        true
    }
}

/// What to do about a camera that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// End with an error: somebody is at the terminal.
    Fail,
    /// Wait for it and deliver flagged frames meanwhile: a service that ended would only be started again.
    Wait,
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory without a usable picture.
    #[error("no usable pictures in {}: it takes JPEG, PNG, BMP and WebP", .0.display())]
    Empty(PathBuf),
    /// A clip that is damaged or of another kind.
    #[error("{what}: {reason}")]
    Clip {
        /// File or `standard input`.
        what: String,
        /// What is wrong with it, and what would do.
        reason: String,
    },
    /// A camera that cannot be used.
    #[error("{0}")]
    Camera(String),
}
