//! What runs the model. One trait, so that the stage does not know which; chosen at run time, with the reason kept.

pub(crate) mod rten;

use crate::error::InferError;
use hanja_common::record;
use std::fmt;

pub(crate) use rten::RtenBackend;

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

/// Height and width that the model's input is fixed to; `None`: any multiple of its stride.
pub(crate) type FixedSize = Option<(usize, usize)>;

/// Facts of a loaded model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) names: Option<Vec<String>>,
    pub(crate) stride: usize,
    pub(crate) fixed: FixedSize,
}

/// A loaded model on a device.
pub(crate) trait Backend: Send + fmt::Debug {
    /// Who it is, for records.
    fn kind(&self) -> record::Backend;

    /// What it found in the file.
    fn facts(&self) -> &Facts;

    /// Runs `work` on the threads that run the model, so that it may use them all and no others compete for the cores.
    fn install(&self, work: &mut (dyn FnMut() + Send));

    /// Runs the model. The result lives until the next call.
    fn infer(&mut self, input: Input<'_>) -> Result<Predictions<'_>, InferError>;
}

/// A backend that would have been preferred, and why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PassedOver {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
}

/// Which backends `choice` passes over. `Err`: it names one that cannot be had.
pub(crate) fn choose(choice: &str) -> Result<Vec<PassedOver>, InferError> {
    const MISSING: &str = "not part of this version";
    let missing = |name| PassedOver {
        name,
        reason: MISSING,
    };
    match choice {
        "auto" => Ok(vec![missing("tensorrt"), missing("onnxruntime")]),
        "rten" => Ok(Vec::new()),
        "tensorrt" | "onnxruntime" => Err(InferError::Backend {
            name: choice.into(),
            reason: MISSING.into(),
        }),
        _ => Err(InferError::Backend {
            name: choice.into(),
            reason: "there is no backend of that name; there are auto, tensorrt, onnxruntime, rten"
                .into(),
        }),
    }
}
