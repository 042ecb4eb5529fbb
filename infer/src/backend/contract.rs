//! What a backend on the CPU does: the model's input in, its output out.

use crate::error::InferError;
use crate::model::Facts;
use std::fmt;

/// The model's input: one picture, planar RGB, `3 * height * width` values of 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// The model's output `[1, rows, columns]`: each row one anchor, (cx, cy, w, h) in input pixels, objectness, classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predictions<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// A model loaded into a backend that runs on the CPU.
pub(crate) trait CpuBackend: Send + fmt::Debug {
    /// Which backend it is, for records.
    fn kind(&self) -> hanja_record::Backend;

    /// The backend's name for people: with the version, where that can differ.
    fn describe(&self) -> String {
        self.kind().name().into()
    }

    /// What it found in the model's file.
    fn facts(&self) -> &Facts;

    /// Runs `work` on the threads that run the model, so that it can use all of them and competes with no others for the
    /// cores.
    fn install(&self, work: &mut (dyn FnMut() + Send));

    /// Runs the model. The result is valid until the next call.
    fn infer(&mut self, input: Input<'_>) -> Result<Predictions<'_>, InferError>;

    /// Runs the model, and `other` at the same time on those of this backend's threads that the model's layers leave
    /// idle. A backend that cannot share its threads runs one after the other.
    fn infer_beside(
        &mut self,
        input: Input<'_>,
        other: &mut (dyn FnMut() + Send),
    ) -> Result<Predictions<'_>, InferError> {
        other();
        self.infer(input)
    }
}
