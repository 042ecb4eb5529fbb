//! rten: pure Rust, always there. Loads the ONNX file itself; fp16 weights are widened at loading.

use super::contract::{CpuBackend, Input, Predictions};
use crate::error::InferError;
use crate::model::layout::{Declared, output_size};
use crate::model::{Facts, ModelError, ModelFile};
use rten::{
    Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, TryFromValueError, Value,
    ValueOrView,
};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Threads that run models; `None`: those of the library, one per physical core.
pub(crate) type Threads = Option<Arc<ThreadPool>>;

/// A pool of this many threads; without a number, the library's.
pub(crate) fn threads(number: Option<usize>) -> Threads {
    number.map(|n| Arc::new(ThreadPool::with_num_threads(n)))
}

fn pool(threads: &Threads) -> &ThreadPool {
    threads.as_deref().unwrap_or_else(|| rten::thread_pool())
}

pub(crate) struct RtenBackend {
    model: Model,
    input: NodeId,
    output: NodeId,
    options: RunOptions,
    facts: Facts,
    last: NdTensor<f32, 3>,
    name: String,
}

impl fmt::Debug for RtenBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtenBackend")
            .field("name", &self.name)
            .field("facts", &self.facts)
            .finish()
    }
}

impl RtenBackend {
    /// Loads a model, to be run on these threads.
    pub(crate) fn load(file: &ModelFile, threads: Threads) -> Result<Self, ModelError> {
        let name = file.name.clone();
        let mut loader = ModelOptions::with_all_ops();
        loader.prepack_weights(true);
        let loaded = match &file.bytes {
            // A copy, because the backend that is tried after this one needs the file as well.
            Cow::Owned(bytes) => loader.load(bytes.clone()),
            Cow::Borrowed(bytes) => loader.load_static_slice(bytes),
        };
        let model = match loaded {
            Ok(model) => model,
            Err(e) => {
                let reason = e.to_string().replace('\n', " ");
                return Err(ModelError::Load {
                    model: name,
                    reason,
                });
            }
        };
        let inspected = declared(&model).inspect(&name);
        let (output, facts) = inspected.map_err(|e| e.of(&name))?;
        let (input, output) = (model.input_ids()[0], model.output_ids()[output]);
        let mut options = RunOptions::default();
        options.thread_pool = threads;
        Ok(Self {
            model,
            input,
            output,
            options,
            facts,
            last: NdTensor::zeros([1, 0, 0]),
            name,
        })
    }
}

/// What the file declares, for the check of its layout.
fn declared(model: &Model) -> Declared {
    let shape = |dimensions: Vec<Dimension>| {
        let free = |d| match d {
            Dimension::Fixed(n) => Some(n),
            Dimension::Symbolic(_) => None,
        };
        dimensions.into_iter().map(free).collect()
    };
    let of_node = |id: &NodeId| model.node_info(*id)?.shape().map(shape);
    let metadata = model.metadata();
    Declared {
        inputs: model.input_ids().iter().map(of_node).collect(),
        outputs: model.output_ids().iter().map(of_node).collect(),
        stride: metadata.get("stride").map(Into::into),
        names: metadata.get("names").map(Into::into),
    }
}

impl CpuBackend for RtenBackend {
    fn kind(&self) -> hanja_record::Backend {
        hanja_record::Backend::Rten
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        pool(&self.options.thread_pool).run(work);
    }

    fn infer_beside(
        &mut self,
        input: Input<'_>,
        other: &mut (dyn FnMut() + Send),
    ) -> Result<Predictions<'_>, InferError> {
        let threads = self.options.thread_pool.clone();
        pool(&threads).run(|| rayon::join(|| self.infer(input), other).0)
    }

    fn infer(&mut self, input: Input<'_>) -> Result<Predictions<'_>, InferError> {
        let failed = |reason: String| InferError::Run {
            backend: "rten",
            reason: reason.replace('\n', " "),
        };
        let shape = [1, 3, input.height, input.width];
        let view =
            NdTensorView::try_from_data(shape, input.data).map_err(|e| failed(e.to_string()))?;
        let value = ValueOrView::from(view.as_dyn());
        let [output] = self
            .model
            .run_n(
                vec![(self.input, value)],
                [self.output],
                Some(self.options.clone()),
            )
            .map_err(|e| failed(e.to_string()))?;
        let floats = matches!(output, Value::FloatTensor(_));
        let (rows, columns) = output_size(&output.shape(), floats).map_err(|e| e.of(&self.name))?;
        self.last = output
            .try_into()
            .map_err(|e: TryFromValueError| failed(e.to_string()))?;
        let data = self
            .last
            .data()
            .ok_or_else(|| failed("output is not contiguous".into()))?;
        Ok(Predictions {
            data,
            rows,
            columns,
        })
    }
}
