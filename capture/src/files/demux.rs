//! What taking a clip apart means.

use hanja_picture::jpeg;
use hanja_record::PixelFormat;
use std::ops::Range;

/// What the reader is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More bytes: at least this many in all.
    Need(usize),
    /// Skip so many, whether or not they have been read yet.
    Skip(u64),
    /// The same for bytes that make no sense here: they are counted, and reported at the end.
    Lost(u64),
    /// The same for a place in the clip's time that has no picture of its own.
    Empty(u64),
    /// A frame is in this range; skip `consume` bytes after it has been used.
    Frame {
        bytes: Range<usize>,
        consume: usize,
        picture: Shape,
    },
    /// The clip is over.
    End,
}

/// A frame's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) format: PixelFormat,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Shape {
    /// Of a JPEG; `None` if its header does not give a size.
    pub(super) fn of_jpeg(bytes: &[u8]) -> Option<Self> {
        let (width, height) = jpeg::size(bytes)?;
        Some(Self {
            format: PixelFormat::Mjpg,
            width,
            height,
        })
    }
}

/// Splits a clip into frames.
pub(super) trait Demux: Send {
    /// The next step, given the bytes read so far; `eof`: there will be no more. An error is final: what is wrong.
    fn step(&mut self, bytes: &[u8], eof: bool) -> Result<Step, String>;

    /// Frames per second, once known.
    fn fps(&self) -> Option<f64>;
}

/// No frame is larger; a header that claims more is damaged.
pub(super) const MAX_FRAME: usize = 256 << 20;
