//! Tools around the model: `synth` makes data sets, `crops` the training material of the verifier, `eval` scores a model on
//! a data set, `prune` makes a model's weights sparse. The command line has `half` besides, from hanja-onnx.
//!
//! The binary `hanja-model` is a thin command line over this library.
#![forbid(unsafe_code)]

pub mod crops;
pub mod eval;
pub mod prune;
pub mod synth;
