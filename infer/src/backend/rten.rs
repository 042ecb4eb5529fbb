//! rten: pure Rust, always there. Loads the ONNX file itself; fp16 weights are widened at loading.

use super::{Backend, Facts, FixedSize, Input, Predictions};
use crate::error::InferError;
use crate::model::ModelFile;
use crate::names;
use hanja_common::record;
use rten::{Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

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
    /// Loads a model. `threads`: none for one per physical core.
    pub(crate) fn load(file: ModelFile, threads: Option<usize>) -> Result<Self, InferError> {
        let ModelFile { name, bytes, .. } = file;
        let mut loader = ModelOptions::with_all_ops();
        loader.prepack_weights(true);
        let loaded = match bytes {
            Cow::Owned(bytes) => loader.load(bytes),
            Cow::Borrowed(bytes) => loader.load_static_slice(bytes),
        };
        let model = match loaded {
            Ok(model) => model,
            Err(e) => {
                let reason = e.to_string().replace('\n', " ");
                return Err(InferError::Load {
                    model: name,
                    reason,
                });
            }
        };
        let (input, output, facts) = match inspect(&name, &model) {
            Ok(found) => found,
            Err(reason) => {
                return Err(InferError::NotYolo {
                    model: name,
                    reason,
                });
            }
        };
        let mut options = RunOptions::default();
        options.thread_pool = threads.map(|n| Arc::new(ThreadPool::with_num_threads(n)));
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

/// The input, the output and the facts; or why this is not a YOLOv5 detection model.
fn inspect(name: &str, model: &Model) -> Result<(NodeId, NodeId, Facts), String> {
    let &[input] = model.input_ids() else {
        return Err(format!(
            "it has {} inputs, one picture is expected",
            model.input_ids().len()
        ));
    };
    let output = pick_output(model)?;
    let fixed = input_size(model.input_shape(0).as_deref())?;
    let metadata = model.metadata();
    let stride = metadata.get("stride").and_then(|s| s.trim().parse().ok());
    let written = metadata.get("names");
    let names = written.and_then(names::parse);
    if written.is_some() && names.is_none() {
        tracing::warn!(
            "{name}: its metadata does not name its classes in the form {{0: 'one', 1: 'two'}}; they are numbered"
        );
    }
    let facts = Facts {
        names,
        stride: stride.filter(|s| (8..=256).contains(s)).unwrap_or(32),
        fixed,
    };
    Ok((input, output, facts))
}

/// The only output; or the decoded one of three dimensions beside the raw maps of five, which exports up to YOLOv5
/// v6.0 carry along.
fn pick_output(model: &Model) -> Result<NodeId, String> {
    let ids = model.output_ids();
    if let [only] = ids {
        return Ok(*only);
    }
    let rank = |id: &NodeId| Some(model.node_info(*id)?.shape()?.len());
    let of_rank = |n| ids.iter().filter(move |id| rank(id) == Some(n));
    let raw = of_rank(5).count();
    if let (Some(decoded), true) = (of_rank(3).next(), raw > 0 && raw + 1 == ids.len()) {
        return Ok(*decoded);
    }
    let what = if raw == ids.len() && raw > 0 {
        "raw maps, which only training uses"
    } else {
        "of other shapes"
    };
    Err(format!(
        "it has {} outputs {what}, one of shape [1, n, 5 + classes] is expected; export a detection model without --train and --nms",
        ids.len()
    ))
}

/// Checks the declared input: a batch of one, three channels; height and width free or fixed.
fn input_size(shape: Option<&[Dimension]>) -> Result<FixedSize, String> {
    let Some(shape) = shape else { return Ok(None) };
    let [batch, channels, height, width] = shape else {
        return Err(format!(
            "its input has {} dimensions, [1, 3, height, width] is expected",
            shape.len()
        ));
    };
    if matches!(batch, Dimension::Fixed(n) if *n != 1) {
        return Err("its batch size is not 1; export it with --batch-size 1".into());
    }
    if matches!(channels, Dimension::Fixed(n) if *n != 3) {
        return Err("its input does not have 3 channels (RGB)".into());
    }
    match (height, width) {
        (Dimension::Fixed(h), Dimension::Fixed(w)) => {
            let good = |n: usize| (32..=4096).contains(&n) && n.is_multiple_of(32);
            if good(*h) && good(*w) {
                Ok(Some((*h, *w)))
            } else {
                Err(format!(
                    "its input of {w}x{h} pixels is not a multiple of 32 from 32 to 4096"
                ))
            }
        }
        _ => Ok(None),
    }
}

impl Backend for RtenBackend {
    fn kind(&self) -> record::Backend {
        record::Backend::Rten
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        match &self.options.thread_pool {
            Some(pool) => pool.run(work),
            None => rten::thread_pool().run(work),
        }
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
        let shape = output.shape().to_vec();
        let not_yolo = |reason: &str| InferError::NotYolo {
            model: self.name.clone(),
            reason: format!("its output has shape {shape:?}, {reason}"),
        };
        self.last = NdTensor::try_from(output)
            .map_err(|_| not_yolo("[1, n, 5 + classes] of f32 is expected"))?;
        let [batch, rows, columns] = self.last.shape();
        if rows < columns {
            return Err(not_yolo(
                "which looks like YOLOv8 or later ([1, 4 + classes, n]); train or export it with YOLOv5",
            ));
        }
        if batch != 1 || columns < 6 {
            return Err(not_yolo("[1, n, 5 + classes] is expected"));
        }
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
