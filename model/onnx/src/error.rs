//! Why a file is no model, or no usable one.

use std::path::PathBuf;

/// What is wrong with a model. The caller adds which file it was.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not an ONNX model.
    #[error("it is not an ONNX model, or a damaged one: {reason}; export it again")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// A tensor contradicts itself.
    #[error("tensor {name}: {reason}; export the model again")]
    Tensor {
        /// The tensor.
        name: String,
        /// What was found.
        reason: String,
    },
    /// The data of a tensor lie in another file.
    #[error(
        "tensor {name} lies in another file (external data); \
         write the model as one file first, in Python: onnx.save(onnx.load('in.onnx'), 'out.onnx')"
    )]
    External {
        /// The tensor.
        name: String,
    },
    /// Its inputs, outputs or operators are not those of a detection model that this crate can change.
    #[error("{0}")]
    Input(String),
}
