//! The verifier's network in the library that runs the detector: rten, or onnxruntime. Beside TensorRT it is rten on the
//! CPU, which waits for the GPU at that time.

use crate::backend::{onnxruntime, rten as rten_backend};
use crate::error::InferError;
use crate::model::ModelError;
use ort::session::Session;
use ort::value::TensorRef;
use rten::{Model, ModelOptions, NodeId, RunOptions, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};
use std::fmt;

/// A loaded network of one input and one output.
pub(super) enum Network {
    Rten {
        model: Box<Model>,
        input: NodeId,
        output: NodeId,
        options: RunOptions,
    },
    OnnxRuntime(Session),
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rten { .. } => "Rten",
            Self::OnnxRuntime(_) => "OnnxRuntime",
        })
    }
}

impl Network {
    /// `beside`: what runs the detector. `threads`: none for one per physical core.
    pub(super) fn load(
        onnx: &'static [u8],
        beside: hanja_record::Backend,
        threads: Option<usize>,
    ) -> Result<Self, InferError> {
        if beside == hanja_record::Backend::OnnxRuntime {
            let session = onnxruntime::small(onnx).map_err(unusable)?;
            return match (session.inputs(), session.outputs()) {
                ([_], [_]) => Ok(Self::OnnxRuntime(session)),
                _ => Err(not_one_each()),
            };
        }
        let mut loader = ModelOptions::with_all_ops();
        loader.prepack_weights(true);
        let model = loader.load_static_slice(onnx).map_err(unusable)?;
        let ([input], [output]) = (model.input_ids(), model.output_ids()) else {
            return Err(not_one_each());
        };
        let (input, output) = (*input, *output);
        let mut options = RunOptions::default();
        options.thread_pool = rten_backend::threads(threads);
        Ok(Self::Rten {
            model: Box::new(model),
            input,
            output,
            options,
        })
    }

    /// A text of the file's metadata.
    pub(super) fn metadata(&self, key: &str) -> Option<String> {
        match self {
            Self::Rten { model, .. } => model.metadata().get(key).map(Into::into),
            Self::OnnxRuntime(session) => session.metadata().ok()?.custom(key),
        }
    }

    /// Runs on an input of this shape; `read` is given the output.
    pub(super) fn run(
        &mut self,
        shape: [usize; 4],
        data: &[f32],
        read: impl FnOnce(&[f32]),
    ) -> Result<(), InferError> {
        match self {
            Self::Rten {
                model,
                input,
                output,
                options,
            } => {
                let view = NdTensorView::try_from_data(shape, data).map_err(failed)?;
                let result = library(|| {
                    let inputs = vec![(*input, ValueOrView::from(view.as_dyn()))];
                    let [result] = model
                        .run_n(inputs, [*output], Some(options.clone()))
                        .map_err(failed)?;
                    NdTensor::<f32, 2>::try_from(result).map_err(failed)
                })?;
                let values = result.data();
                read(values.ok_or_else(|| failed("its output is not contiguous"))?);
                library(|| drop(result));
            }
            Self::OnnxRuntime(session) => {
                let tensor = TensorRef::from_array_view((shape, data)).map_err(failed)?;
                let outputs = session.run(ort::inputs![tensor]).map_err(failed)?;
                read(outputs[0].try_extract_tensor::<f32>().map_err(failed)?.1);
            }
        }
        Ok(())
    }
}

/// Calls rten. It makes its tensors anew each time, which the test that counts our allocations leaves out.
fn library<R>(call: impl FnOnce() -> R) -> R {
    #[cfg(not(test))]
    return call();
    #[cfg(test)]
    {
        let mut result = None;
        allocation_counter::opt_out(|| result = Some(call()));
        result.expect("it ran")
    }
}

fn failed(reason: impl fmt::Display) -> InferError {
    InferError::Run {
        backend: "the verifier",
        reason: reason.to_string().replace('\n', " "),
    }
}

fn not_one_each() -> InferError {
    unusable("it has not one input and one output")
}

pub(super) fn unusable(reason: impl fmt::Display) -> InferError {
    ModelError::Load {
        model: "the embedded verifier".into(),
        reason: reason.to_string().replace('\n', " "),
    }
    .into()
}
