//! `TensorProto`: a constant of the model; most of them are weights.
//!
//! Its values are stored in one of several fields: `raw_data` (which PyTorch writes), or a list by type (`float_data`;
//! `int32_data` for fp16). An edit keeps the field and changes only the values in question.

use super::OnnxError;
use super::wire::{Message, Value, damaged, owned, put_varint};
use ::half::f16;
use std::borrow::Cow;

const DIMS: u32 = 1;
const DATA_TYPE: u32 = 2;
const SEGMENT: u32 = 3;
const FLOAT_DATA: u32 = 4;
const INT32_DATA: u32 = 5;
const NAME: u32 = 8;
const RAW_DATA: u32 = 9;
const DATA_LOCATION: u32 = 14;

/// `TensorProto.DataType.INT64`.
const INT64: u64 = 7;

/// Element type of tensors, inputs and outputs: `TensorProto.DataType`, as far as this crate reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// FLOAT, 1.
    F32,
    /// FLOAT16, 10.
    F16,
    /// Any other, by its number.
    Other(u64),
}

impl Element {
    pub(super) fn from_number(number: u64) -> Self {
        match number {
            1 => Self::F32,
            10 => Self::F16,
            other => Self::Other(other),
        }
    }

    /// Its number in `onnx.proto`.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::F32 => 1,
            Self::F16 => 10,
            Self::Other(number) => number,
        }
    }

    /// Bytes of a value; `None` for types whose values this crate does not read.
    fn bytes(self) -> Option<usize> {
        match self {
            Self::F32 => Some(4),
            Self::F16 => Some(2),
            Self::Other(_) => None,
        }
    }
}

/// A constant tensor. Of floats (f32, f16) parsing checks that shape and data agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    message: Message<'static>,
    name: String,
    dims: Vec<usize>,
    element: Element,
}

impl Tensor {
    /// A tensor of f32 `values`, in row-major order and as many as the product of `dims`; empty `dims` mean a scalar.
    #[must_use]
    pub fn floats(name: &str, dims: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::from_raw(name, dims, Element::F32, bytes)
    }

    /// A one-dimensional tensor of INT64 `values`, as operators take for axes and indices.
    #[must_use]
    pub fn integers(name: &str, values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::from_raw(name, &[values.len()], Element::Other(INT64), bytes)
    }

    fn from_raw(name: &str, dims: &[usize], element: Element, bytes: Vec<u8>) -> Self {
        let mut message = Message::default();
        for dim in dims {
            message.push(DIMS, Value::Varint(*dim as u64));
        }
        message.push(DATA_TYPE, Value::Varint(element.number()));
        message.push(NAME, owned(name));
        message.push(RAW_DATA, owned(bytes));
        Self {
            message,
            name: name.to_owned(),
            dims: dims.to_vec(),
            element,
        }
    }

    /// Parses a tensor. `holder` names it in errors if it has no name of its own.
    pub(super) fn parse(bytes: &[u8], holder: &str) -> Result<Self, OnnxError> {
        let message = Message::parse(bytes)?.into_owned();
        let own = message.text(NAME)?;
        let name = if own.is_empty() { holder } else { own }.to_owned();
        if message.integer(DATA_LOCATION).unwrap_or(0) != 0 {
            return Err(OnnxError::External { name });
        }
        let element = Element::from_number(message.integer(DATA_TYPE).unwrap_or(0));
        let dims = message.integers(DIMS)?;
        let dims: Option<Vec<usize>> = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
        let bad = |reason: String| OnnxError::Tensor {
            name: name.clone(),
            reason,
        };
        let count = dims.as_deref().and_then(|dims| {
            dims.iter()
                .try_fold(1usize, |count, d| count.checked_mul(*d))
        });
        let (Some(dims), Some(count)) = (dims, count) else {
            return Err(bad("its shape is too large for any memory".into()));
        };
        let tensor = Self {
            message,
            name: name.clone(),
            dims,
            element,
        };
        if let Some(size) = element.bytes() {
            if tensor.message.bytes(SEGMENT).is_some() {
                return Err(bad("it is cut into segments, which no exporter does".into()));
            }
            let stored = tensor.stored()?.len();
            if Some(stored) != count.checked_mul(size) {
                let shape = &tensor.dims;
                return Err(bad(format!(
                    "its shape {shape:?} needs {count} values of {size} bytes, but there are {stored} bytes"
                )));
            }
        }
        Ok(tensor)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.message.to_bytes()
    }

    /// Its name; for a constant without one, that of the node's output.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dimensions; empty for a scalar.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Its element type.
    #[must_use]
    pub fn element(&self) -> Element {
        self.element
    }

    /// Whether it is f32 or f16.
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.element.bytes().is_some()
    }

    /// Its values as f32, in row-major order; none for types other than f32 and f16.
    ///
    /// # Errors
    /// None after a successful parse.
    pub fn values(&self) -> Result<Vec<f32>, OnnxError> {
        let bytes = self.stored()?;
        let wide = |c: &[u8; 4]| f32::from_le_bytes(*c);
        let narrow = |c: &[u8; 2]| f16::from_le_bytes(*c).to_f32();
        Ok(match self.element {
            Element::F32 => bytes.as_chunks().0.iter().map(wide).collect(),
            Element::F16 => bytes.as_chunks().0.iter().map(narrow).collect(),
            Element::Other(_) => Vec::new(),
        })
    }

    /// Sets the values at these indices (row-major) to 0 and leaves every other bit as it is. Does nothing to types other
    /// than f32 and f16.
    ///
    /// # Errors
    /// None after a successful parse.
    ///
    /// # Panics
    /// If an index is not below the number of values.
    pub fn zero(&mut self, indices: &[usize]) -> Result<(), OnnxError> {
        let Some(size) = self.element.bytes() else {
            return Ok(());
        };
        let mut bytes = self.stored()?.into_owned();
        for index in indices {
            bytes[index * size..][..size].fill(0);
        }
        if self.message.bytes(RAW_DATA).is_some() {
            self.message.set(RAW_DATA, owned(bytes));
        } else if self.element == Element::F32 {
            self.message.set(FLOAT_DATA, owned(bytes));
        } else {
            let mut packed = Vec::new();
            for bits in bytes.as_chunks().0 {
                put_varint(&mut packed, u64::from(u16::from_le_bytes(*bits)));
            }
            self.message.set(INT32_DATA, owned(packed));
        }
        Ok(())
    }

    /// Converts f32 to f16, rounding to the nearest; other types stay as they are. Finite values beyond ±65504 become
    /// ±65504; returns how many.
    ///
    /// # Errors
    /// None after a successful parse.
    pub fn make_half(&mut self) -> Result<usize, OnnxError> {
        if self.element != Element::F32 {
            return Ok(0);
        }
        let (mut bytes, mut clamped) = (Vec::new(), 0);
        for value in self.values()? {
            let mut rounded = f16::from_f32(value);
            if rounded.is_infinite() && value.is_finite() {
                rounded = f16::MAX.copysign(rounded);
                clamped += 1;
            }
            bytes.extend(rounded.to_le_bytes());
        }
        self.message.remove(FLOAT_DATA);
        self.message.set(RAW_DATA, owned(bytes));
        self.message
            .set(DATA_TYPE, Value::Varint(Element::F16.number()));
        self.element = Element::F16;
        Ok(clamped)
    }

    /// Converts f16 to f32 with the same values; other types stay as they are.
    ///
    /// # Errors
    /// None after a successful parse.
    pub fn make_full(&mut self) -> Result<(), OnnxError> {
        if self.element != Element::F16 {
            return Ok(());
        }
        let values = self.values()?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.message.remove(INT32_DATA);
        self.message.set(RAW_DATA, owned(bytes));
        self.message
            .set(DATA_TYPE, Value::Varint(Element::F32.number()));
        self.element = Element::F32;
        Ok(())
    }

    /// Sets its name.
    pub fn set_name(&mut self, name: &str) {
        self.message.set(NAME, owned(name));
        name.clone_into(&mut self.name);
    }

    /// The values as little-endian bytes, whichever field holds them; empty for types that are not read.
    fn stored(&self) -> Result<Cow<'_, [u8]>, OnnxError> {
        if let Some(raw) = self.message.bytes(RAW_DATA) {
            return Ok(Cow::Borrowed(raw));
        }
        let mut out = Vec::new();
        match self.element {
            Element::F32 => {
                for value in self.message.all(FLOAT_DATA) {
                    match value {
                        Value::Bytes(packed) => out.extend(packed.iter()),
                        Value::Fixed32(one) => out.extend(one),
                        _ => return Err(damaged("a float is not stored as one")),
                    }
                }
            }
            Element::F16 => {
                for bits in self.message.integers(INT32_DATA)? {
                    let bits = u16::try_from(bits).map_err(|_| OnnxError::Tensor {
                        name: self.name.clone(),
                        reason: format!("{bits} is no fp16 value"),
                    })?;
                    out.extend(bits.to_le_bytes());
                }
            }
            Element::Other(_) => {}
        }
        Ok(Cow::Owned(out))
    }
}
