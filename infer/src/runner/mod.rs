//! From a picture to candidates: the part of the way that is different on a CPU and on a GPU. A CPU takes one picture
//! at a time; a GPU prepares the next while the model looks at this one, and reads the picture where it lies.

pub(crate) mod coarse;
mod cpu;
mod tensorrt;

use crate::backend::Facts;
use crate::error::InferError;
use crate::nms::Candidate;
use crate::preprocess::{Letterbox, Luma, PreprocessError};
pub(crate) use cpu::CpuRunner;
use hanja_record::{FrameMeta, FrameRef};
use hanja_ring::Lease;
use std::fmt;
pub(crate) use tensorrt::TensorRtRunner;

/// A picture to be looked at.
#[derive(Debug)]
pub(crate) enum Picture<'a> {
    /// Read before `submit` returns.
    Bytes(FrameRef<'a>),
    /// A slot of the ring, let go as soon as its bytes have been read.
    Leased(Lease),
}

impl Picture<'_> {
    /// Its bytes and how they are to be read.
    pub(crate) fn frame(&self) -> Result<FrameRef<'_>, PreprocessError> {
        match self {
            Self::Bytes(frame) => Ok(*frame),
            Self::Leased(lease) => {
                let meta = FrameMeta::read(lease.meta());
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
    /// When the model was given its input, CLOCK_MONOTONIC nanoseconds; `None`: with [`Runner::submit`].
    pub(crate) begun: Option<u64>,
    /// When the model was done: what follows is the decoding of its output.
    pub(crate) inferred: u64,
}

/// A loaded model with what makes its input and reads its output.
pub(crate) trait Runner: Send + fmt::Debug {
    /// Who runs the model, for records.
    fn kind(&self) -> hanja_record::Backend;

    /// Who runs it, in words: with the version, where that can differ.
    fn describe(&self) -> String;

    /// What is known of the model.
    fn facts(&self) -> &Facts;

    /// Takes another threshold for candidates, from the next picture on.
    fn set_conf(&mut self, conf: f32);

    /// Keeps the brightness of every picture from the next one on, for [`luma`](Self::luma).
    fn keep_luma(&mut self);

    /// The brightness of the picture that was finished last, if it is kept.
    fn luma(&self) -> Option<&Luma>;

    /// Most pictures under way at a time.
    fn depth(&self) -> usize;

    /// Starts a picture; says where it will lie in the model's input. After [`InferError::Picture`] nothing has
    /// happened; any other error ends all that is under way.
    fn submit(&mut self, picture: Picture<'_>) -> Result<Letterbox, InferError>;

    /// Whether [`finish`](Self::finish) would not have to wait. Lets go of pictures that have been read.
    fn is_done(&mut self) -> Result<bool, InferError>;

    /// Brings the oldest picture under way to its end: its candidates above the threshold, best first.
    fn finish(&mut self, candidates: &mut Vec<Candidate>) -> Result<Output, InferError>;

    /// The model alone, `runs` times on what was submitted last; nanoseconds of each run. Nothing is under way.
    fn bare_loop(&mut self, runs: usize) -> Result<Vec<u64>, InferError>;
}
