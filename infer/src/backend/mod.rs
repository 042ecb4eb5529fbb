//! Backends: what runs a model. There are three: rten, onnxruntime and TensorRT. The two here run on the CPU, behind one
//! trait; TensorRT comes with a way of its own for a picture, so it is a runner
//! ([`TensorRtRunner`](crate::runner::TensorRtRunner)).
//!
//! | module | idea |
//! |---|---|
//! | `contract` | what a backend on the CPU does |
//! | `rten`, `onnxruntime` | the two that do it |
//! | `unusable` | why a backend does not run a model |

mod contract;
pub(crate) mod onnxruntime;
pub(crate) mod rten;
mod unusable;

pub(crate) use contract::{CpuBackend, Input, Predictions};
pub(crate) use unusable::Unusable;

/// A model in the backend that is always there.
#[cfg(test)]
pub(crate) fn rten_for_tests(
    file: &crate::model::ModelFile,
    config: &hanja_stage::config::InferConfig,
) -> Box<dyn CpuBackend> {
    let threads = rten::threads(config.threads);
    Box::new(rten::RtenBackend::load(file, threads).expect("the embedded model loads"))
}
