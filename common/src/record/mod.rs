//! The records other processes read: fixed-width, little-endian, `repr(C)`, every offset asserted.
//!
//! The layout is an ABI: `docs/abi.md` documents it, `tests/abi.rs` holds golden bytes. Fields are only ever added in
//! reserved words (minor version) or the major version rises. No bool, enum or usize lives in a record.

mod detection;
mod frame;
mod histogram;
pub mod json;
mod layout;
mod stats;
mod times;

pub use detection::{
    Backend, Detection, DetectionHeader, DetectionRecord, MAX_DETECTIONS, NUMERALS, RecordError,
    Status, numeral,
};
pub use frame::{FrameFlags, FrameMeta, FrameRef, PixelFormat};
pub use histogram::{BUCKETS, Histogram, HistogramRecord, Histograms};
pub use layout::{Channel, Colour, LayoutError, MAX_PIXELS, MAX_SIDE, PixelLayout, Plane};
pub use stats::{Metric, MetricId, StageStats};
pub use times::Times;

/// Major version of every record and of the ring layout: readers refuse another one.
pub const ABI_MAJOR: u16 = 1;
/// Minor version: grows when a reserved word gets a meaning; readers accept any.
pub const ABI_MINOR: u16 = 2;

#[cfg(not(target_endian = "little"))]
compile_error!(
    "the shared-memory records are little-endian; hanja-pipeline has no big-endian port"
);
