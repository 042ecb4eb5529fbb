//! What a runner does: picture in, candidates out. On the CPU one picture is under way at a time; a GPU prepares the next
//! one while the model runs on this one, and reads the picture where it lies.

use crate::error::InferError;
use crate::model::Facts;
use crate::nms::ScoredBox;
use crate::preprocess::{Letterbox, Luma, PreprocessError};
use hanja_record::FrameRef;
use hanja_ring::Lease;
use std::fmt;

/// A picture to be looked at.
#[derive(Debug)]
pub(crate) enum Picture<'a> {
    /// Bytes of the caller's, which are read before `submit` returns.
    Bytes(FrameRef<'a>),
    /// A slot of the ring, released as soon as its bytes have been read.
    Leased(Lease),
}

impl Picture<'_> {
    /// Its bytes and how they are to be read.
    pub(crate) fn frame(&self) -> Result<FrameRef<'_>, PreprocessError> {
        match self {
            Self::Bytes(frame) => Ok(*frame),
            Self::Leased(lease) => {
                let meta = hanja_record::FrameMeta::read(lease.meta());
                let frame = meta.frame(lease.payload());
                frame.ok_or(PreprocessError::Format(meta.fourcc))
            }
        }
    }
}

/// What the model's output looked like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Rows above the threshold, more than the candidates given if there were too many.
    pub(crate) total: u32,
    /// When the model was given its input, CLOCK_MONOTONIC nanoseconds; `None`: during [`Runner::submit`].
    pub(crate) begun: Option<u64>,
    /// When the model was done; the decoding of its output follows.
    pub(crate) inferred: u64,
}

/// A loaded model, together with what makes its input and decodes its output.
pub(crate) trait Runner: Send + fmt::Debug {
    /// The backend that runs the model, for records.
    fn kind(&self) -> hanja_record::Backend;

    /// The backend's name for people: with the version, where that can differ.
    fn describe(&self) -> String;

    /// What is known of the model.
    fn facts(&self) -> &Facts;

    /// Sets the threshold for candidates, from the next picture on.
    fn set_conf(&mut self, conf: f32);

    /// Keeps the brightness of every picture from the next one on, for [`luma`](Self::luma).
    fn keep_luma(&mut self);

    /// The brightness of the picture that was finished last, if it is kept.
    fn luma(&self) -> Option<&Luma>;

    /// Most pictures under way at a time.
    fn depth(&self) -> usize;

    /// Starts a picture; returns where it will lie in the model's input. After [`InferError::Picture`] everything is as before
    /// the call; any other error ends all pictures under way.
    fn submit(&mut self, picture: Picture<'_>) -> Result<Letterbox, InferError>;

    /// Whether [`finish`](Self::finish) would return without waiting. Releases pictures that have been read.
    fn is_done(&mut self) -> Result<bool, InferError>;

    /// Waits for the oldest picture under way; fills `candidates` with its boxes above the threshold, best first.
    fn finish(&mut self, candidates: &mut Vec<ScoredBox>) -> Result<Output, InferError>;

    /// Runs the model alone `runs` times on what was submitted last, while no picture is under way; returns the nanoseconds
    /// of each run.
    fn bare_loop(&mut self, runs: usize) -> Result<Vec<u64>, InferError>;
}
