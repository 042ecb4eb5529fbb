//! An engine's tensors, checked against what a YOLOv5 detection model has, and bound to memory.

use crate::backend::Unusable;
use crate::error::InferError;
use crate::model::layout::{Declared, NotYolo, Shape};
use crate::model::{Facts, ModelFile};
use crate::preprocess::{Letterbox, Target};
use hanja_cuda::{Device, DeviceBuffer, OutputSpec, Work};
use hanja_stage::config::InferConfig;
use hanja_tensorrt::{Context, DataType, Direction, Engine, Layout, TensorInfo};

/// An engine's context with the names of what goes in and comes out.
#[derive(Debug)]
pub(super) struct Network {
    // Dropped before the memory that its outputs go to.
    context: Context,
    input_name: String,
    output_name: String,
    /// Memory for outputs that are not read: the raw maps of old exports.
    _unread: Vec<DeviceBuffer>,
    /// Width and height.
    pub(super) input: (usize, usize),
    pub(super) half_input: bool,
    /// Without its threshold.
    pub(super) output: OutputSpec,
    pub(super) facts: Facts,
}

impl Network {
    /// Checks the engine's tensors. `file` is the ONNX model that it was built from: only there are the class names.
    pub(super) fn new(
        engine: &Engine,
        device: &Device,
        file: &ModelFile,
        config: &InferConfig,
    ) -> Result<Self, Unusable> {
        let mut context = engine.create_context().map_err(Unusable::missing)?;
        settle_shape(&mut context, engine, config)?;
        let mut tensors = engine.tensors().to_vec();
        for tensor in &mut tensors {
            tensor.shape = context.shape(&tensor.name).map_err(Unusable::missing)?;
        }
        let (inputs, outputs): (Vec<&TensorInfo>, Vec<_>) = tensors
            .iter()
            .partition(|t| t.direction == Direction::Input);
        let declared = declared(file, &inputs, &outputs)?;
        let not_yolo = |e: NotYolo| e.of(format!("the engine of {}", file.name));
        let (index, facts) = declared.inspect(&file.name).map_err(not_yolo)?;
        // All tensors: memory for an output that is not read is also measured by its dimensions.
        tensors.iter().try_for_each(plain).map_err(not_yolo)?;
        let (input, output) = (inputs[0], outputs[index]);
        let half = |tensor| is_half(tensor).map_err(not_yolo);
        let (Some((height, width)), &[1, rows, columns]) = (facts.fixed, &output.shape[..]) else {
            return Err(not_yolo(NotYolo(format!(
                "its output {} has the shape {:?}, [1, n, 5 + classes] is expected",
                output.name, output.shape
            )))
            .into());
        };
        let mut network = Self {
            input_name: input.name.clone(),
            output_name: output.name.clone(),
            input: (width, height),
            half_input: half(input)?,
            output: OutputSpec {
                rows: usize::try_from(rows).unwrap_or(0),
                columns: usize::try_from(columns).unwrap_or(0),
                half: half(output)?,
                conf: 0.0,
            },
            facts,
            context,
            _unread: Vec::new(),
        };
        network
            .output
            .check()
            .map_err(|e| not_yolo(NotYolo(e.to_string())))?;
        for tensor in outputs.iter().filter(|t| t.name != output.name) {
            network.discard(tensor, device).map_err(Unusable::Model)?;
        }
        Ok(network)
    }

    /// Binds an output that is not read to memory that nothing else uses.
    fn discard(&mut self, tensor: &TensorInfo, device: &Device) -> Result<(), InferError> {
        let bytes = tensor.bytes().ok_or_else(|| {
            failed(format!(
                "the size of the output {} is not known",
                tensor.name
            ))
        })?;
        let buffer = DeviceBuffer::new(device, bytes.max(1)).map_err(failed)?;
        // SAFETY: memory of the tensor's size, aligned as allocations are, and kept as long as the context.
        unsafe { self.context.bind(&tensor.name, buffer.address()) }.map_err(failed)?;
        self._unread.push(buffer);
        Ok(())
    }

    /// Puts one run of the engine into the path's stream.
    pub(super) fn enqueue(&mut self, work: Work) -> Result<(), hanja_tensorrt::Error> {
        // SAFETY: the path gives addresses of tensors of the sizes that this network told it (`Spec`), on a stream of
        // its own, leaves them alone until that stream is done with them, and is dropped before the context.
        unsafe {
            self.context.bind(&self.input_name, work.input)?;
            self.context.bind(&self.output_name, work.output)?;
            self.context.enqueue(work.stream)
        }
    }
}

/// Sets the configured input size in an engine that leaves it open, as `trtexec --minShapes` makes it.
fn settle_shape(
    context: &mut Context,
    engine: &Engine,
    config: &InferConfig,
) -> Result<(), Unusable> {
    let target = Target::LongSide {
        size: config.size.next_multiple_of(32),
        stride: 32,
    };
    let probe = Letterbox::new(640, 480, target);
    let open = engine
        .tensors()
        .iter()
        .filter(|t| t.direction == Direction::Input && t.is_dynamic());
    for tensor in open {
        let mut wanted = tensor.shape.clone();
        let sizes = [1, 3, probe.net_height as i64, probe.net_width as i64];
        for (dim, size) in wanted.iter_mut().zip(sizes) {
            if *dim < 0 {
                *dim = size;
            }
        }
        context
            .set_input_shape(&tensor.name, &wanted)
            .map_err(Unusable::missing)?;
    }
    Ok(())
}

/// What the check of the layout needs: shapes from the engine, the rest from the ONNX file.
fn declared(
    file: &ModelFile,
    inputs: &[&TensorInfo],
    outputs: &[&TensorInfo],
) -> Result<Declared, Unusable> {
    let described = file.described().map_err(Unusable::missing)?;
    let shapes = |list: &[&TensorInfo]| list.iter().map(|t| shape(t)).collect();
    Ok(Declared {
        inputs: shapes(inputs),
        outputs: shapes(outputs),
        stride: described.stride.clone(),
        names: described.names.clone(),
    })
}

/// Refuses tensors of another order than the plain one: they are padded, and larger than the memory that they would get.
fn plain(tensor: &TensorInfo) -> Result<(), NotYolo> {
    match tensor.layout {
        Layout::Linear => Ok(()),
        other => Err(NotYolo(format!(
            "its tensor {} is laid out as {other}, chw is expected; build it without --inputIOFormats and --outputIOFormats",
            tensor.name
        ))),
    }
}

/// Whether a tensor is f16, not f32.
fn is_half(tensor: &TensorInfo) -> Result<bool, NotYolo> {
    match tensor.data_type {
        DataType::F32 => Ok(false),
        DataType::F16 => Ok(true),
        other => Err(NotYolo(format!(
            "its tensor {} is of type {other:?}, f32 or f16 is expected; build it without --inputIOFormats and --outputIOFormats",
            tensor.name
        ))),
    }
}

/// The dimensions as the check of the layout wants them.
fn shape(tensor: &TensorInfo) -> Shape {
    let dims = tensor.shape.iter().map(|d| usize::try_from(*d).ok());
    Some(dims.collect())
}

/// A failure of TensorRT or of the GPU.
pub(super) fn failed(e: impl std::fmt::Display) -> InferError {
    InferError::Run {
        backend: hanja_record::Backend::TensorRt.name(),
        reason: e.to_string(),
    }
}
