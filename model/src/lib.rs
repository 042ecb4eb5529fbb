//! Tools around the model: `synth` makes data sets, `crops` what the verifier learns from, `eval` scores a model on one, `prune` and `half` (from hanja-onnx) make it
//! smaller.
//!
//! The binary `hanja-model` is a thin command line over this library.
#![forbid(unsafe_code)]

pub mod crops;
pub mod eval;
pub mod prune;
pub mod synth;
