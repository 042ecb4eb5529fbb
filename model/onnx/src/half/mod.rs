//! fp16 weights and computation: `hanja-model half` writes such a model, and versions of TensorRT without a precision flag
//! build their fp16 engines from it.
//!
//! Inputs and outputs of the graph stay f32, and so does everything that fp16 would harm or that runtimes do not accept:
//!
//! | stays f32 | why |
//! |---|---|
//! | everything after the last convolution or matrix product | there the maps become boxes in pixels, and fp16 counts in steps of 0.25 above 256, of 0.5 above 512, of 1 above 1024, where 一 is three pixels high. With an input of 320 no loss was measured; with whole pages there would be, and f32 costs nothing there |
//! | `Resize`'s and `Upsample`'s scales and region | `onnx.proto` allows only f32 for scales |
//! | shapes, indices, `Cast`, `Range`, `Shape`, constants that only they use | no weights; integers remain integers, and an explicit `Cast` keeps its target |
//! | operators not on the list in `operators.rs` | sums, exponentials, normalisations leave fp16's range (65504) or precision; operators of other domains may not exist in fp16 |
//! | weights that an f32 node uses as well | one copy for both, with a `Cast` before the fp16 node |
//!
//! There is a `Cast` wherever a value of one type meets a node of the other. Values keep their names; a copy in the other type is called
//! `NAME_float16` or `NAME_float32`. Types in `value_info` follow. Operator set and metadata do not change.

mod operators;
mod plan;
mod rewrite;

use crate::{Model, OnnxError, storage};
use plan::Plan;

/// What [`half()`] changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HalfReport {
    /// Number of nodes that compute in fp16.
    pub nodes: usize,
    /// Number of nodes that compute, or may compute, with floats and stay f32.
    pub left: usize,
    /// Convolutions and matrix products among those, by name: the types of their operands are not known, or not f32.
    pub heavy_left: Vec<String>,
    /// Number of tensors that became fp16.
    pub tensors: usize,
    /// Number of casts added.
    pub casts: usize,
    /// Tensors with values beyond fp16's range, and how many of them became ±65504.
    pub clamped: Vec<(String, usize)>,
}

/// Why a model was not converted.
#[derive(Debug, thiserror::Error)]
pub enum HalfError {
    /// The model has control flow.
    #[error(
        "node {node} carries a graph of its own, which cannot be converted; \
         export the model without control flow (If, Loop, Scan)"
    )]
    Subgraph {
        /// Operator and name.
        node: String,
    },
    /// The operator set is too old.
    #[error(
        "its operator set {0} is older than 7, where types are named differently; export it again with --opset 13"
    )]
    Opset(u64),
    /// There is nothing to convert.
    #[error(
        "it has no convolution or matrix product in f32, so there is nothing to convert; is it fp16 already?"
    )]
    Nothing,
    /// The model cannot be read.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
}

/// Converts the model in place. Weights that were only stored in fp16 ([`storage`]) compute in fp16 afterwards, too.
///
/// # Errors
/// [`HalfError`]; the model may be changed in part then.
pub fn half(model: &mut Model) -> Result<HalfReport, HalfError> {
    let opset = model.opset()?;
    if opset < 7 {
        return Err(HalfError::Opset(opset));
    }
    for node in model.graph.nodes() {
        if node.has_subgraph()? {
            let node = node.title();
            return Err(HalfError::Subgraph { node });
        }
    }
    // Weights that are only stored in fp16 become f32 first.
    storage::widen(model)?;
    let plan = Plan::of(&model.graph)?;
    if plan.nodes.is_empty() {
        return Err(HalfError::Nothing);
    }
    Ok(rewrite::rewrite(&mut model.graph, &plan)?)
}
