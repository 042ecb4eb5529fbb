//! NVIDIA's TensorRT, found and called at run time.
//!
//! The executable links nothing of NVIDIA's and builds without any of it: libraries are opened by name, and TensorRT's
//! C++ objects are called through the slots of their tables of virtual methods, one set of slot numbers per major
//! version. `docs/tensorrt.md` says why, what may go wrong and how to check it on a device.
//!
//! | module | idea |
//! |---|---|
//! | `version`, `slots` | which TensorRT this is, and at which places its tables have the methods |
//! | `abi` | the C++ layouts: objects, calls, dimensions |
//! | `library` | finding and loading; no object is touched before the version is known |
//! | `logger` | passes TensorRT's messages to tracing, and its last errors to ours |
//! | `runtime`, `context` | plans, engines, their tensors, running them |
//! | `builder`, `parser`, `progress` | from ONNX to a plan |
//!
//! This crate does not use CUDA: device addresses and streams are raw numbers that the caller got elsewhere. The CUDA context
//! that they belong to must be current on the calling thread.
//!
//! ```no_run
//! use hanja_tensorrt::{Library, Request, Runtime, build};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let library = Library::find()?;
//! let onnx = std::fs::read("model.onnx")?;
//! let built = build(&library, &Request::new(&onnx, 640, 640))?;
//! // SAFETY: the plan was built just now.
//! let engine = unsafe { Runtime::new(&library)?.deserialize(&built.plan)? };
//! for tensor in engine.tensors() {
//!     println!("{} {:?} {:?}", tensor.name, tensor.shape, tensor.data_type);
//! }
//! # Ok(())
//! # }
//! ```

mod abi;
mod builder;
mod context;
mod error;
mod library;
mod logger;
mod parser;
mod progress;
mod runtime;
pub mod slots;
mod tensor;
mod version;

pub use builder::{Built, Request, build};
pub use context::Context;
pub use error::{Attempt, Error, LIBRARY_VARIABLE, LoadError};
pub use library::Library;
pub use progress::Progress;
pub use runtime::{Engine, Runtime};
pub use tensor::{DataType, Direction, Layout, TensorInfo};
pub use version::{Flavour, Version};
