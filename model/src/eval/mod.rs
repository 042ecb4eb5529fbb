//! `hanja-model eval`: scores detections against a YOLO data set, as COCO (pycocotools) does.
//!
//! The scoring is pure: [`evaluate`] takes frames with labels and detections, wherever the
//! detections come from (a model run here, or the output of `hanja detect --json`).

mod average_precision;
mod bootstrap;
mod boxes;
mod dataset;
mod detect;
mod failures;
mod matching;
mod operating;
mod report;

pub use average_precision::{ClassScore, means, precision_at_recalls, score};
pub use bootstrap::{Interval, Intervals, bootstrap};
pub use boxes::{Detection, Frame, Label, PixelBox};
pub use dataset::{read_dataset, read_detections};
pub use detect::{CURVE_THRESHOLD, Run, frames_from_model};
pub use failures::{Failure, failures, sheet};
pub use matching::{IOU_THRESHOLDS, MAX_DETECTIONS, match_class};
pub use operating::{Counts, Operating, SCORE_BANDS, SIZE_BANDS, operate};
pub use report::EvalReport;

use std::path::{Path, PathBuf};

/// Why an evaluation could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// No pictures.
    #[error("{path}: no pictures there; --data must be a folder with images/ and labels/")]
    NoPictures {
        /// The folder.
        path: PathBuf,
    },
    /// A picture cannot be read.
    #[error("{path}: {reason}; remove or replace the picture")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A label file is not in YOLO's form.
    #[error("{path}, line {line}: {reason}")]
    Label {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 for the whole file.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A detections file is not what `hanja detect --json` prints.
    #[error("{path}: {reason}; expected the output of 'hanja detect --json'")]
    Detections {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A detections file lacks pictures of the data set.
    #[error(
        "{path}: has nothing on {missing} of the pictures, first {first}; \
             run 'hanja detect --json --conf 0.001' on all of images/"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// How many pictures.
        missing: usize,
        /// The first of them.
        first: String,
    },
    /// The model cannot be loaded or run.
    #[error(transparent)]
    Model(#[from] hanja_infer::InferError),
    /// A picture cannot be decoded.
    #[error(transparent)]
    Still(#[from] hanja_picture::StillError),
}

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
