//! Why there is no evaluation.

use std::path::PathBuf;

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
