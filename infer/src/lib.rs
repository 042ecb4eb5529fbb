//! From a picture to detections: preprocessing, the model, decoding, suppression; and the infer stage around them.
//!
//! | module | idea |
//! |---|---|
//! | `preprocess` | the camera's bytes to the model's input tensor in one pass |
//! | `model`, `names` | the model's file and its class names |
//! | `backend` | what runs the model; one trait, chosen at run time |
//! | `decode`, `nms` | the model's numbers to boxes, at a bounded cost |
//! | `detector` | the four together, for one picture: used by the stage and by `hanja detect` alike |
//! | `stage` | frames ring to detections ring, with every time stamped |
//! | `stills` | picture files |

#![deny(unsafe_code)]

mod backend;
mod decode;
mod detector;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod gpu_tests;
mod model;
mod names;
mod nms;
mod preprocess;
mod stage;
pub mod stills;

pub use detector::{Detector, Found, ModelInfo, Steps};
pub use error::InferError;
pub use model::BUILT_IN;
pub use preprocess::PreprocessError;
pub use stage::run;
