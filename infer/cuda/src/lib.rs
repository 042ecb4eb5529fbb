//! Everything that the pipeline needs of an NVIDIA GPU except the model: finding the GPU, its memory, its streams, and the two
//! kernels around the model. The driver library is looked for at run time; nothing of NVIDIA's is needed to build.
//!
//! | module | idea |
//! |---|---|
//! | `driver`, `error` | libcuda as a table of functions; what can go wrong |
//! | `device` | is there a GPU, what can it do |
//! | `stream`, `memory` | work in order, events, memory on either side |
//! | `registration` | memory that other code allocated (the ring) and that the GPU reads where it lies |
//! | `graph` | a frame's work recorded once, started with one call |
//! | `conversion`, `candidates`, `kernels` | the picture to the tensor, the model's rows to candidates |
//! | `path` | all of it together: frames in, candidates out, two at a time |
//!
//! [`FramePath`] is the safe interface. The modules below it are for code that orders its own work, and mostly `unsafe`: the
//! GPU reads and writes memory after the call that queues the work has returned, which no borrow can express.

#![allow(unsafe_code)]

mod candidates;
mod conversion;
mod device;
mod driver;
mod error;
mod graph;
mod kernels;
mod memory;
mod path;
mod registration;
mod stream;

pub use candidates::{FilteredBox, FilteredBoxes};
pub use conversion::{Axis, ChannelSpec, Colour, Conversion, Placement};
pub use device::{Device, Facts};
pub use error::{Error, Unavailable};
pub use graph::{CaptureError, Graph};
pub use kernels::{FilterSpec, Kernels};
pub use memory::{DeviceBuffer, PinnedBuffer, Plain};
pub use path::{FramePath, Graphs, OutputSpec, Source, Spec, Work};
pub use registration::{Place, Refusal, Registration};
pub use stream::{Event, Stream};
