//! What can go wrong with engines. Every message names the thing and the remedy.

use super::key::NoPrecision;
use super::trust::TrustError;
use crate::model::ModelError;
use std::path::PathBuf;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The cache directory cannot be made, read or written.
    #[error(
        "cannot {action} the engine cache {}: {source}; make it writable for this user, or choose another directory with --engine-cache",
        path.display()
    )]
    Cache {
        /// What was tried.
        action: &'static str,
        /// The directory or a file in it.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else could have written it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The child process could not be started or spoken to.
    #[error("cannot start the process that builds the engine: {0}")]
    Spawn(#[source] std::io::Error),
    /// The build failed: the library's message, or how the process ended.
    #[error("the engine was not built: {0}")]
    Build(String),
    /// The cache is being written to.
    #[error("an engine is being built in {} right now; prune when that is done", .0.display())]
    Busy(PathBuf),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model is none that pictures go into.
    #[error("{model}: {source}")]
    Onnx {
        /// The model's name.
        model: String,
        /// What is in the way.
        source: hanja_onnx::OnnxError,
    },
    /// The configured precision.
    #[error(transparent)]
    Precision(#[from] NoPrecision),
    /// The model cannot be made fp16.
    #[error("{model} cannot be made fp16: {source}; build it with --precision fp32")]
    Half {
        /// The model's name.
        model: String,
        /// What is in the way.
        source: hanja_onnx::half::HalfError,
    },
    /// The file that `--out` names.
    #[error("cannot write the engine {}: {source}", path.display())]
    Out {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
