//! Which operators compute in fp16, and which of their operands are numbers of that type.

/// Which operands or results have the type that the operator computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floats {
    /// All.
    All,
    /// The first; the others are shapes, indices, scales, or a mask.
    First,
    /// The second and third: `Where`.
    Choices,
    /// The first and third: `Pad`.
    Padded,
}

impl Floats {
    pub(super) fn has(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::First => index == 0,
            Self::Choices => matches!(index, 1 | 2),
            Self::Padded => matches!(index, 0 | 2),
        }
    }
}

/// Operands and results of an operator that may compute in fp16; `None`: it stays f32.
pub(super) fn half(operator: &str) -> Option<(Floats, Floats)> {
    use Floats::{All, Choices, First, Padded};
    Some(match operator {
        // Convolutions, matrix products, normalisation.
        "Conv" | "ConvTranspose" | "Gemm" | "MatMul" | "BatchNormalization" => (All, All),
        // Activations and arithmetic, value by value.
        "Abs" | "Add" | "Clip" | "Div" | "Elu" | "HardSigmoid" | "HardSwish" | "LeakyRelu"
        | "Max" | "Min" | "Mish" | "Mul" | "Neg" | "PRelu" | "Relu" | "Sigmoid" | "Sub"
        | "Tanh" => (All, All),
        "Softmax" => (All, All),
        // Pooling; a second result of MaxPool is indices.
        "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => (All, All),
        "MaxPool" => (First, First),
        // Operators that only move values.
        "Concat" | "Identity" => (All, All),
        "DepthToSpace" | "Expand" | "Flatten" | "Gather" | "Reshape" | "Resize" | "Slice"
        | "SpaceToDepth" | "Squeeze" | "Tile" | "Transpose" | "Unsqueeze" | "Upsample" => {
            (First, First)
        }
        "Split" => (First, All),
        "Pad" => (Padded, First),
        "Where" => (Choices, First),
        _ => return None,
    })
}

/// Whether the operator's first result has the type of its first operand although it stays f32.
pub(super) fn keeps_type(operator: &str) -> bool {
    matches!(
        operator,
        "Ceil"
            | "Erf"
            | "Exp"
            | "Floor"
            | "InstanceNormalization"
            | "LayerNormalization"
            | "Log"
            | "LogSoftmax"
            | "Pow"
            | "Range"
            | "Reciprocal"
            | "ReduceL2"
            | "ReduceMax"
            | "ReduceMean"
            | "ReduceMin"
            | "ReduceSum"
            | "Round"
            | "Softplus"
            | "Sqrt"
            | "Sum"
    )
}

/// Operators with weights: convolutions and matrix products.
pub(super) fn heavy(operator: &str) -> bool {
    matches!(operator, "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
}
