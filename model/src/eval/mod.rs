//! `hanja-model eval`: scores detections against a YOLO data set, as COCO (pycocotools) does.
//!
//! The scoring is pure: [`evaluate`] takes frames with labels and detections, wherever the
//! detections come from (a model run here, or the output of `hanja detect --json`).

mod average_precision;
mod bootstrap;
mod boxes;
mod dataset;
mod detect;
mod error;
mod failures;
mod matching;
mod operating;
mod report;

pub use average_precision::{ClassScore, means, precision_at_recalls, score};
pub use bootstrap::{Interval, Intervals, bootstrap};
pub use boxes::{Detection, Frame, Label, PixelBox};
pub use dataset::{read_dataset, read_detections};
pub use detect::{CURVE_THRESHOLD, Run, frames_from_model};
pub use error::EvalError;
pub use failures::{Failure, failures, sheet};
pub use matching::{IOU_THRESHOLDS, MAX_DETECTIONS, match_class};
pub use operating::{Counts, Operating, SCORE_BANDS, SIZE_BANDS, operate};
pub use report::EvalReport;

use std::path::Path;

/// Scores frames; `threshold` is the operating threshold for precision, recall and false positives
/// (average precision uses every detection there is).
#[must_use]
pub fn evaluate(frames: &[Frame], threshold: f64) -> EvalReport {
    EvalReport {
        classes: score(frames),
        operating: operate(frames, threshold),
        threshold,
        intervals: None,
    }
}

/// The frames of the data set in `data`, with the detections that `hanja detect --json` printed.
///
/// # Errors
/// See [`EvalError`]; a picture of the data set without an entry in the file is an error, because
/// it would count as missed.
pub fn frames_from_file(data: &Path, detections: &Path) -> Result<Vec<Frame>, EvalError> {
    let mut found = read_detections(detections)?;
    let mut missing = Vec::new();
    let mut frames = Vec::new();
    for (_, mut frame) in read_dataset(data)? {
        match found.remove(&frame.name) {
            Some(detections) => frame.detections = detections,
            None => missing.push(frame.name.clone()),
        }
        frames.push(frame);
    }
    match missing.first() {
        None => Ok(frames),
        Some(first) => Err(EvalError::Missing {
            path: detections.to_owned(),
            missing: missing.len(),
            first: first.clone(),
        }),
    }
}
