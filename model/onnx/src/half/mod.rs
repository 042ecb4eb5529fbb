//! fp16 weights and computation: what `hanja-model half` writes, and what a TensorRT that has no precision flag builds
//! its fp16 engines from.
//!
//! Inputs and outputs of the graph stay f32, and so does whatever fp16 would harm or no runtime takes:
//!
//! | stays f32 | why |
//! |---|---|
//! | everything after the last convolution or matrix product | there the maps become boxes in pixels, and fp16 counts in steps of 0.25 above 256, of 0.5 above 512, of 1 above 1024, where 一 is three pixels high. With an input of 320 no loss was measured; with whole pages there would be, and f32 costs nothing there |
//! | `Resize`'s and `Upsample`'s scales and region | `onnx.proto` allows only f32 for scales |
//! | shapes, indices, `Cast`, `Range`, `Shape`, constants that only they use | no weights; integers remain integers, and an explicit `Cast` keeps its target |
//! | operators not on the list in `operators.rs` | sums, exponentials, normalisations leave fp16's range (65504) or precision; operators of other domains may not exist in fp16 |
//! | weights that an f32 node uses as well | one copy for both, with a `Cast` before the fp16 node |
//!
//! Where the two worlds meet there is a `Cast`. Values keep their names; a copy in the other type is called
//! `NAME_float16` or `NAME_float32`. Types in `value_info` follow. Operator set and metadata are not touched.

mod operators;
mod plan;
mod rewrite;

use crate::{Model, OnnxError, storage};
use plan::Plan;

/// What happened to the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HalfReport {
    /// Nodes that compute in fp16.
    pub nodes: usize,
    /// Nodes that compute, or may compute, with floats and stay f32.
    pub left: usize,
    /// Convolutions and matrix products among those, by name: the types of their operands are not known, or not f32.
    pub heavy_left: Vec<String>,
    /// Tensors that became fp16.
    pub tensors: usize,
    /// Casts that were added.
    pub casts: usize,
    /// Tensors with values beyond fp16's range, and how many of them became ±65504.
    pub clamped: Vec<(String, usize)>,
}

/// Why a model was not converted.
#[derive(Debug, thiserror::Error)]
pub enum HalfError {
    /// Control flow.
    #[error(
        "node {node} carries a graph of its own, which cannot be converted; \
         export the model without control flow (If, Loop, Scan)"
    )]
    Subgraph {
        /// Operator and name.
        node: String,
    },
    /// Very old.
    #[error(
        "its operator set {0} is older than 7, where types are named differently; export it again with --opset 13"
    )]
    Opset(u64),
    /// Nothing to convert.
    #[error(
        "it has no convolution or matrix product in f32, so there is nothing to convert; is it fp16 already?"
    )]
    Nothing,
    /// The model.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
}

/// Converts in place.
///
/// # Errors
/// See [`HalfError`].
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
    // Weights that are only stored so are weights again.
    storage::widen(model)?;
    let plan = Plan::of(&model.graph)?;
    if plan.nodes.is_empty() {
        return Err(HalfError::Nothing);
    }
    Ok(rewrite::rewrite(&mut model.graph, &plan)?)
}
