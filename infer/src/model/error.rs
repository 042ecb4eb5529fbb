//! Why a file is not a usable model.

use super::embedded::BUILT_IN;
use std::path::PathBuf;

/// Every variant names the model and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error(
        "cannot read the model {}: {source}; --model takes an ONNX file or one of {}",
        path.display(),
        BUILT_IN.join(", ")
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no ONNX model, is damaged, or uses operators that the backend does not know.
    #[error(
        "{model} is not a usable ONNX model: {reason}; export it again with YOLOv5's export.py --include onnx"
    )]
    Load {
        /// The file, or which embedded model.
        model: String,
        /// The backend's message.
        reason: String,
    },
    /// A model of another kind.
    #[error("{model} is not a YOLOv5 detection model: {reason}")]
    NotYolo {
        /// The file.
        model: String,
        /// What was expected and found.
        reason: String,
    },
}
