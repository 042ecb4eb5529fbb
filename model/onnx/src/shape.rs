//! The shape of a model's picture input, as far as the file fixes it; an engine is built for one shape.

use super::wire::{Message, Value, damaged};
use super::{Model, OnnxError, Part, ValueInfo};
use std::collections::HashSet;

/// The one input of a detection model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureInput {
    /// Its name.
    pub name: String,
    /// Batch, channels, height, width in pixels; `None`: left open by the file.
    pub dims: [Option<u32>; 4],
}

impl PictureInput {
    /// Height and width in pixels, if the file fixes both.
    #[must_use]
    pub fn fixed(&self) -> Option<(u32, u32)> {
        self.dims[2].zip(self.dims[3])
    }
}

impl Model {
    /// The input for pictures.
    ///
    /// # Errors
    /// [`OnnxError::Input`] if there is not exactly one, or it does not have four dimensions.
    pub fn picture_input(&self) -> Result<PictureInput, OnnxError> {
        let info = self.picture_info()?;
        let dims = info.dims()?;
        let dims = dims.and_then(|d| <[Option<u32>; 4]>::try_from(d).ok());
        Ok(PictureInput {
            name: info.name().to_owned(),
            dims: dims.ok_or_else(|| {
                OnnxError::Input("its input has not the four dimensions of pictures".into())
            })?,
        })
    }

    /// The one input without an initializer: old exports list weights as inputs, too.
    fn picture_info(&self) -> Result<&ValueInfo, OnnxError> {
        let weights: HashSet<&str> = self.graph.tensors().map(|(name, _)| name).collect();
        let mut inputs = self.graph.parts.iter().filter_map(|part| match part {
            Part::Input(info) if !weights.contains(info.name()) => Some(info),
            _ => None,
        });
        match (inputs.next(), inputs.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(OnnxError::Input("it has no input".into())),
            _ => Err(OnnxError::Input(
                "it has more than one input, and a detection model has one".into(),
            )),
        }
    }
}

/// `TypeProto.Tensor.shape`, `TensorShapeProto.dim`, `Dimension.dim_value`.
const SHAPE: u32 = 2;
const DIM: u32 = 1;
const DIM_VALUE: u32 = 1;

impl ValueInfo {
    /// The dimensions of a tensor, `None` for one that is left open; `None` as a whole for a value without shape.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the type cannot be read.
    pub fn dims(&self) -> Result<Option<Vec<Option<u32>>>, OnnxError> {
        let Some(of_value) = self.message.bytes(Self::TYPE) else {
            return Ok(None);
        };
        let of_value = Message::parse(of_value)?;
        let Some(of_tensor) = of_value.bytes(Self::TENSOR_TYPE) else {
            return Ok(None);
        };
        let of_tensor = Message::parse(of_tensor)?;
        let Some(shape) = of_tensor.bytes(SHAPE) else {
            return Ok(None);
        };
        let dim = |value: &Value<'_>| {
            let Value::Bytes(bytes) = value else {
                return Err(damaged("a dimension is no message"));
            };
            let value = Message::parse(bytes)?.integer(DIM_VALUE);
            // Exporters write 0 or a negative number for "open" too.
            Ok(value
                .and_then(|v| u32::try_from(v).ok())
                .filter(|v| *v != 0))
        };
        Message::parse(shape)?
            .all(DIM)
            .map(dim)
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }
}
