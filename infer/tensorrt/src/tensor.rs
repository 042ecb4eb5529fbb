//! What an engine's inputs and outputs are.

/// Where the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Read by the engine.
    Input,
    /// Written by the engine.
    Output,
}

/// A tensor's element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// 8-bit signed integer, quantised.
    I8,
    /// 32-bit signed integer.
    I32,
    /// One byte, 0 or 1.
    Bool,
    /// 8-bit unsigned integer.
    U8,
    /// One that is not used here, by TensorRT's own number.
    Other(i32),
}

impl DataType {
    pub(crate) fn from_raw(raw: i32) -> Self {
        match raw {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I8,
            3 => Self::I32,
            4 => Self::Bool,
            5 => Self::U8,
            other => Self::Other(other),
        }
    }

    /// Bytes of one element; `None` for a type that is not known here.
    pub fn bytes(self) -> Option<usize> {
        match self {
            Self::F32 | Self::I32 => Some(4),
            Self::F16 => Some(2),
            Self::I8 | Self::Bool | Self::U8 => Some(1),
            Self::Other(_) => None,
        }
    }
}

/// The order of a tensor's elements in memory. All but the plain one pad their rows or channels, so they take more room
/// than the dimensions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One after the other, nothing between them, the last dimension counting fastest.
    Linear,
    /// Another, by TensorRT's own number.
    Other(i32),
}

impl Layout {
    pub(crate) fn from_raw(raw: i32) -> Self {
        match raw {
            0 => Self::Linear,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for Layout {
    /// As `trtexec --inputIOFormats` spells it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 13] = [
            "chw",
            "chw2",
            "hwc8",
            "chw4",
            "chw16",
            "chw32",
            "dhwc8",
            "cdhw32",
            "hwc",
            "dla_linear",
            "dla_hwc4",
            "hwc16",
            "dhwc",
        ];
        let raw = match self {
            Self::Linear => 0,
            Self::Other(raw) => *raw,
        };
        match usize::try_from(raw).ok().and_then(|raw| NAMES.get(raw)) {
            Some(name) => f.write_str(name),
            None => write!(f, "number {raw}"),
        }
    }
}

/// One input or output of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in the ONNX model.
    pub name: String,
    /// Input or output.
    pub direction: Direction,
    /// Its dimensions as the engine was built; -1 where the context decides.
    pub shape: Vec<i64>,
    /// Its elements.
    pub data_type: DataType,
    /// Their order.
    pub layout: Layout,
}

impl TensorInfo {
    /// Whether a dimension is left to the context.
    pub fn is_dynamic(&self) -> bool {
        self.shape.iter().any(|&size| size < 0)
    }

    /// Bytes of the whole tensor; `None` while dynamic, of an unknown type, padded, or beyond what a machine can address.
    pub fn bytes(&self) -> Option<usize> {
        if self.layout != Layout::Linear {
            return None;
        }
        let mut bytes = self.data_type.bytes()?;
        for &size in &self.shape {
            bytes = bytes.checked_mul(usize::try_from(size).ok()?)?;
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_never_overflow() {
        let tensor = |shape: &[i64], data_type| TensorInfo {
            name: "images".into(),
            direction: Direction::Input,
            shape: shape.into(),
            data_type,
            layout: Layout::Linear,
        };
        assert_eq!(tensor(&[1, 3, 2, 4], DataType::F16).bytes(), Some(48));
        assert_eq!(tensor(&[1, -1], DataType::F32).bytes(), None);
        assert!(tensor(&[1, -1], DataType::F32).is_dynamic());
        assert_eq!(tensor(&[i64::MAX, i64::MAX], DataType::U8).bytes(), None);
        assert_eq!(tensor(&[1], DataType::from_raw(9)).bytes(), None);
        assert_eq!(tensor(&[], DataType::F32).bytes(), Some(4));
        let padded = TensorInfo {
            layout: Layout::from_raw(4),
            ..tensor(&[1, 3, 2, 4], DataType::F16)
        };
        assert_eq!(padded.bytes(), None);
        assert_eq!(padded.layout.to_string(), "chw16");
        assert_eq!(Layout::from_raw(-1).to_string(), "number -1");
    }
}
