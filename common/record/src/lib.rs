//! What travels in the pipeline's rings: topics, and the records in them, fixed-width, little-endian, `repr(C)`, with every
//! offset asserted; and their one JSON form.
//!
//! The layout is an ABI: `docs/abi.md` documents it, `tests/abi.rs` holds golden bytes. Fields are only ever added in
//! reserved words (minor version) or the major version rises. No bool, enum or usize lives in a record.

mod detection;
mod error;
mod frame;
mod histogram;
#[cfg(feature = "json")]
pub mod json;
mod layout;
mod metric;
pub mod runtime_dir;
mod stage_name;
mod stats;
mod taps;
mod times;
mod topic;

pub use detection::{
    Backend, Detection, DetectionHeader, DetectionRecord, MAX_DETECTIONS, NUMERALS, Status, numeral,
};
pub use error::RecordError;
pub use frame::{FrameFlags, FrameMeta, FrameRef, PixelFormat};
pub use histogram::{BUCKETS, Histogram, HistogramRecord, Histograms};
pub use layout::{Channel, Colour, LayoutError, MAX_PIXELS, MAX_SIDE, PixelLayout, Plane};
pub use metric::{Metric, MetricId};
pub use stage_name::StageName;
pub use stats::StageStats;
pub use taps::Taps;
pub use times::{Times, span_ms};
pub use topic::Topic;

pub use hanja_ring::{ABI_MAJOR, ABI_MINOR};
