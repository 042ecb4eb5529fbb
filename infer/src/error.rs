//! What can go wrong on the way from a file to a working model.

use crate::model::ModelError;
use crate::preprocess::PreprocessError;

/// Every variant names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The backend failed on a good input.
    #[error("the {backend} backend failed: {reason}")]
    Run {
        /// Which.
        backend: &'static str,
        /// Its message.
        reason: String,
    },
    /// This version or machine does not have the backend.
    #[error("backend {name} is not available: {reason}; use --backend auto or rten")]
    Backend {
        /// As asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// There is no TensorRT engine.
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
            Self::Model(_) | Self::Backend { .. } | Self::Engine(_) => true,
            Self::Run { .. } | Self::Picture(_) | Self::Ring(_) => false,
        }
    }

    /// The error for an empty list of backends.
    pub(crate) fn no_backend() -> Self {
        Self::Backend {
            name: "auto".into(),
            reason: "there is none".into(),
        }
    }
}
