//! From a picture to detections: preprocessing, the model, decoding, suppression; and the infer stage around them.
//!
//! | module | idea |
//! |---|---|
//! | `preprocess` | the camera's bytes to the model's input tensor in one pass |
//! | `model`, `names` | the model's file and its class names |
//! | `backend` | what runs the model on a CPU; one trait, chosen at run time |
//! | `runner` | picture in, candidates out: the way over the CPU, and that over the GPU with TensorRT |
//! | `engine` | TensorRT engines: built in a process of their own, kept, trusted only when checked |
//! | `upgrade` | from the CPU to TensorRT, once an engine is built, without losing a frame |
//! | `decode`, `nms` | the model's numbers to boxes, at a bounded cost |
//! | `verifier` | a second look at what was found, at a fixed cost |
//! | `detector` | the four together, for one picture: used by the stage and by `hanja detect` alike |
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
mod model;
mod names;
mod nms;
mod preprocess;
mod runner;
mod stage;
pub mod stills;
mod upgrade;
mod verifier;

/// The onnxruntime library that would be used: its path and version; or in words why there is none, and the remedy.
///
/// # Errors
/// The words.
pub fn onnxruntime() -> Result<(std::path::PathBuf, String), String> {
    backend::onnxruntime::installed().map(|library| (library.path, library.version))
}

/// Whether there is a backend of this name in this program; not whether this machine can run it.
///
/// # Errors
/// [`InferError::Backend`] with the names that there are.
pub fn check_backend(name: &str) -> Result<(), InferError> {
    backend::wanted(name).map(drop)
}

/// The TensorRT library that would be used, in words; or why there is none.
///
/// # Errors
/// The words.
pub fn tensorrt() -> Result<String, String> {
    let library = hanja_tensorrt::Library::find().map_err(|e| e.to_string())?;
    Ok(format!("{}, {}", library.label(), library.path().display()))
}

/// The GPU that would be used, in words; or why there is none.
///
/// # Errors
/// The words.
pub fn gpu() -> Result<String, String> {
    let device = hanja_cuda::Device::probe().map_err(|e| e.to_string())?;
    Ok(device.facts().to_string())
}

pub use detector::{Detector, Found, ModelInfo, Steps};
pub use error::InferError;
pub use model::BUILT_IN;
pub use preprocess::PreprocessError;
pub use stage::run;
pub use verifier::SIDE;
