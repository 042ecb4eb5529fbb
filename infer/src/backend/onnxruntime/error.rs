//! Why there is no onnxruntime to use.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The variable that names the library and ends the search.
pub(super) const VARIABLE: &str = "ORT_DYLIB_PATH";
/// How to get it.
const REMEDY: &str = "pip install onnxruntime, or set ORT_DYLIB_PATH to a libonnxruntime.so of version 1.17 or newer";

/// Why there is no onnxruntime to use. Every variant ends with the remedy or names the library.
#[derive(Debug, thiserror::Error)]
pub enum OnnxRuntimeError {
    /// The library that the environment names cannot be used; nothing else is tried then.
    #[error("{VARIABLE} names {}, {fault}; {REMEDY}", path.display())]
    Named {
        /// The library.
        path: PathBuf,
        /// What is wrong with it.
        fault: LibraryFault,
    },
    /// There is none in any of the places that are searched.
    #[error("no libonnxruntime.so found; {REMEDY}")]
    NotFound,
    /// There are some, and none can be used.
    #[error("found {}; {REMEDY}", listed(.0))]
    Refused(Vec<(PathBuf, LibraryFault)>),
    /// The library is good and does not start.
    #[error("{} does not start: {error}", path.display())]
    Start {
        /// The library.
        path: PathBuf,
        /// The library's message.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn listed(refused: &[(PathBuf, LibraryFault)]) -> String {
    let mut list = String::new();
    for (path, fault) in refused {
        let between = if list.is_empty() { "" } else { "; " };
        let _ = write!(list, "{between}{}, {fault}", path.display());
    }
    list
}

/// What is wrong with a file that should be the library. The messages continue a sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum LibraryFault {
    /// There is no such file.
    #[error("which cannot be opened: {0}")]
    Open(std::io::Error),
    /// It, or a directory above it, cannot be read.
    #[error("which cannot be read: {0}")]
    Read(std::io::Error),
    /// Somebody else could have put it there.
    #[error("which is not used, since every user can write {}", .0.display())]
    Exposed(PathBuf),
    /// A directory, a pipe, a device.
    #[error("which is not a file")]
    NoFile,
    /// Not an ELF file of 64 bits.
    #[error("which is not a shared library of this kind of machine")]
    NoLibrary,
    /// Its headers promise more bytes than it has.
    #[error("which is cut short at {0} bytes")]
    CutShort(u64),
    /// The dynamic linker refuses it.
    #[error("which does not load: {0}")]
    Load(String),
    /// Another library.
    #[error("which is not an onnxruntime: it has no OrtGetApiBase")]
    NoEntry,
    /// Its entry point returns nothing.
    #[error("whose OrtGetApiBase gives nothing")]
    NoTable,
    /// It has no version.
    #[error("which does not tell its version")]
    NoVersion,
    /// Its version is no version.
    #[error("whose version is '{0}'")]
    Version(String),
    /// It is too old.
    #[error("which is onnxruntime {version}: {}.{} or newer is needed", needed.0, needed.1)]
    Old {
        /// Its version.
        version: String,
        /// The oldest version that can be used.
        needed: (u32, u32),
    },
    /// It does not have the interface that is called here.
    #[error("which is onnxruntime {version} and does not offer API {api}")]
    NoApi {
        /// Its version.
        version: String,
        /// The interface's number.
        api: u32,
    },
}

impl LibraryFault {
    pub(super) fn named(self, path: &Path) -> OnnxRuntimeError {
        OnnxRuntimeError::Named {
            path: path.to_owned(),
            fault: self,
        }
    }
}
