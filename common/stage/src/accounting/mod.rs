//! Frame accounting: what became of every frame. A run from outside ([`FrameAccounting`]), and frame by frame in the
//! stages ([`SourceCheck`], [`RecordCheck`]).

pub mod check;
mod frames;

pub use check::{Discrepancy, RecordCheck, SourceCheck, check_times};
pub use frames::{FrameAccounting, FrameTotals};
