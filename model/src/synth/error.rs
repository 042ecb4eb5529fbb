//! Why no pictures could be made.

use std::path::PathBuf;

/// Why a data set could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// An option's value is out of range.
    #[error("{0}")]
    Usage(String),
    /// A folder is missing.
    #[error("{what} {path}: no such folder; check the path")]
    NoFolder {
        /// The option that named it.
        what: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// A folder has nothing usable in it.
    #[error("{what} {path}: nothing usable inside; it should hold {wanted}")]
    NothingInside {
        /// The option that named it.
        what: &'static str,
        /// The folder.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// A stroke file cannot be read.
    #[error(
        "--strokes {path}: {reason}; expected JSON, plain or gzipped: \
             [{{\"char\", \"strokes\": [[[x, y], …], …]}}] or {{\"char\": [[[x, y], …], …]}}"
    )]
    Strokes {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A font cannot be read.
    #[error("--fonts {path}: {reason}; give a .ttf or .otf file, or a folder of them")]
    Font {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The output folder is in use.
    #[error("--out {path}: already holds a data set; remove it or choose another folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A picture cannot be compressed.
    #[error("cannot encode picture {index}: {reason}")]
    Encode {
        /// The picture's number.
        index: usize,
        /// Why.
        reason: String,
    },
}
