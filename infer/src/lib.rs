//! From a picture to detections: preprocessing, the model, decoding, suppression; and the infer stage around them.
//!
//! | module | idea |
//! |---|---|
//! | `model` | what is known of a model: its file, its layout, its class names |
//! | `preprocess` | the camera's bytes to the model's input tensor in one pass |
//! | `backend` | what runs a model: rten and onnxruntime on the CPU, behind one trait |
//! | `runner` | picture in, candidates out: the way over the CPU, and that over the GPU with TensorRT |
//! | `engine` | TensorRT engines: built in a process of their own, kept, trusted only when checked |
//! | `decode`, `nms` | from the model's output to boxes, at a bounded cost |
//! | `verifier` | a second look at what was found, at a fixed cost |
//! | `detector` | runner, suppression and second look together, for one picture |
//! | `select` | the choice of a backend, and why better ones were passed over |
//! | `loader` | puts model, backend and runner together into a detector |
//! | `upgrade` | from the CPU to TensorRT, once an engine is built, without losing a frame |
//! | `stage` | frames ring to detections ring, with every time stamped |
//! | `stills` | picture files |

#![deny(unsafe_code)]

mod backend;
#[cfg(feature = "counts")]
pub mod counts;
mod decode;
mod detector;
pub mod engine;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod gpu_tests;
mod loader;
mod model;
mod nms;
mod preprocess;
mod runner;
mod select;
mod stage;
pub mod stills;
mod upgrade;
mod verifier;

use std::path::Path;

/// The onnxruntime library that would be used: its path and version.
///
/// # Errors
/// Why there is none, and the remedy.
pub fn onnxruntime() -> Result<(&'static Path, &'static str), &'static OnnxRuntimeError> {
    let library = backend::onnxruntime::installed()?;
    Ok((&library.path, &library.version))
}

/// Whether there is a backend of this name in this program; not whether this machine can run it.
///
/// # Errors
/// [`InferError::Backend`] with the names that there are.
pub fn check_backend(name: &str) -> Result<(), InferError> {
    select::wanted(name).map(drop)
}

/// A description of the TensorRT library that would be used.
///
/// # Errors
/// Why there is none.
pub fn tensorrt() -> Result<String, hanja_tensorrt::LoadError> {
    let library = hanja_tensorrt::Library::find()?;
    Ok(format!("{}, {}", library.label(), library.path().display()))
}

/// A description of the GPU that would be used.
///
/// # Errors
/// Why there is none.
pub fn gpu() -> Result<String, hanja_cuda::Unavailable> {
    let device = hanja_cuda::Device::probe()?;
    Ok(device.facts().to_string())
}

pub use backend::onnxruntime::{LibraryFault, OnnxRuntimeError};
pub use detector::{Detector, Found, ModelInfo, Steps};
pub use error::InferError;
pub use model::{BUILT_IN, ModelError};
pub use preprocess::PreprocessError;
pub use stage::run;
pub use verifier::SIDE;
