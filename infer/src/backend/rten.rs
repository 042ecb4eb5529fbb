//! rten: pure Rust, always there. Loads the ONNX file itself; fp16 weights are widened at loading.

use super::{Backend, Facts, FixedSize, Input, Predictions};
use crate::error::InferError;
use crate::names;
use hanja_common::record;
use rten::{Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};
use std::fmt;
use std::sync::Arc;

/// Bytes of a model: a file read into memory, or part of the executable.
#[derive(Debug)]
pub(crate) enum Bytes {
    Owned(Vec<u8>),
    Static(&'static [u8]),
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
    /// Loads a model; `name` is how errors call it. `threads`: none for all cores.
    pub(crate) fn load(
        name: &str,
        bytes: Bytes,
        threads: Option<usize>,
    ) -> Result<Self, InferError> {
        let mut loader = ModelOptions::with_all_ops();
        loader.prepack_weights(true);
        let model = match bytes {
            Bytes::Owned(bytes) => loader.load(bytes),
            Bytes::Static(bytes) => loader.load_static_slice(bytes),
        }
        .map_err(|e| InferError::Load {
            model: name.into(),
            reason: e.to_string().replace('\n', " "),
        })?;
        let not_yolo = |reason: String| InferError::NotYolo {
            model: name.into(),
            reason,
        };
        let &[input] = model.input_ids() else {
            return Err(not_yolo(format!(
                "it has {} inputs, one picture is expected",
                model.input_ids().len()
            )));
        };
        let &[output] = model.output_ids() else {
            return Err(not_yolo(format!(
                "it has {} outputs, one of shape [1, n, 5 + classes] is expected; export it without --nms and without training heads",
                model.output_ids().len()
            )));
        };
        let fixed = input_size(model.input_shape(0).as_deref()).map_err(not_yolo)?;
        let metadata = model.metadata();
        let stride = metadata
            .get("stride")
            .and_then(|s| s.trim().parse().ok())
            .unwrap_or(32);
        let facts = Facts {
            names: metadata.get("names").and_then(names::parse),
            stride: if (8..=256).contains(&stride) {
                stride
            } else {
                32
            },
            fixed,
        };
        let mut options = RunOptions::default();
        options.thread_pool = threads.map(|n| Arc::new(ThreadPool::with_num_threads(n)));
        let last = NdTensor::zeros([1, 0, 0]);
        Ok(Self {
            model,
            input,
            output,
            options,
            facts,
            last,
            name: name.into(),
        })
    }
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
        self.last = NdTensor::try_from(output).map_err(|_| InferError::NotYolo {
            model: self.name.clone(),
            reason: format!(
                "its output has shape {shape:?}, [1, n, 5 + classes] of f32 is expected"
            ),
        })?;
        let [batch, rows, columns] = self.last.shape();
        if batch != 1 || rows == 0 || columns < 6 {
            let reason = format!("its output has shape {shape:?}, [1, n, 5 + classes] is expected");
            return Err(InferError::NotYolo {
                model: self.name.clone(),
                reason,
            });
        }
        if rows < columns {
            let reason = format!(
                "its output {shape:?} looks like YOLOv8 or later ([1, 4 + classes, n]); this program takes YOLOv5 exports"
            );
            return Err(InferError::NotYolo {
                model: self.name.clone(),
                reason,
            });
        }
        let data = self
            .last
            .data()
            .ok_or_else(|| failed("output is not contiguous".into()))?;
        Ok(Predictions { data, columns })
    }
}
