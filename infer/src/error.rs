//! What can go wrong on the way from a file to a working model.

use crate::model::BUILT_IN;
use crate::preprocess::PreprocessError;
use std::path::PathBuf;

/// Every variant names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
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
        /// The file, or `the embedded model`.
        model: String,
        /// In the backend's words.
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
    /// The backend failed on a good input.
    #[error("the {backend} backend failed: {reason}")]
    Run {
        /// Which.
        backend: &'static str,
        /// In its words.
        reason: String,
    },
    /// A backend that this version or machine does not have.
    #[error("backend {name} is not available: {reason}; use --backend auto or rten")]
    Backend {
        /// As asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A TensorRT engine that cannot be had.
    #[error(transparent)]
    Engine(#[from] Box<crate::engine::EngineError>),
    /// The picture cannot be used.
    #[error(transparent)]
    Picture(#[from] PreprocessError),
    /// Shared memory.
    #[error(transparent)]
    Ring(#[from] hanja_ring::RingError),
}

impl InferError {
    /// Whether another start would end the same way: the model or the backend is at fault, not the moment.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Load { .. }
            | Self::NotYolo { .. }
            | Self::Backend { .. }
            | Self::Engine(_) => true,
            Self::Run { .. } | Self::Picture(_) | Self::Ring(_) => false,
        }
    }

    /// For a list of backends that has none.
    pub(crate) fn no_backend() -> Self {
        Self::Backend {
            name: "auto".into(),
            reason: "there is none".into(),
        }
    }
}
