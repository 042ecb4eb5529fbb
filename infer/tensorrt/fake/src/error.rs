//! Why there is no stand-in.

use std::ffi::OsString;
use std::fmt;
use std::io::Error;
use std::path::PathBuf;

/// Why there is no stand-in.
#[derive(Debug)]
pub enum FakeError {
    /// There is no directory to work in.
    TemporaryDirectory(Error),
    /// A source file cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Error,
    },
    /// The C++ compiler cannot be started.
    NoCompiler {
        /// Its name.
        compiler: OsString,
        /// Why.
        error: Error,
    },
    /// The C++ compiler's errors.
    Compile(String),
    /// There is no package with these headers.
    NoPackage,
    /// Cargo, which fetches the headers, cannot be started.
    NoCargo(Error),
    /// Cargo cannot fetch the headers' package.
    Fetch {
        /// The package's version.
        version: &'static str,
        /// Cargo's errors.
        said: String,
    },
    /// Cargo does not say where the package is.
    NoPath,
    /// The package has no header in this directory.
    NoHeader(PathBuf),
    /// The headers do not declare this class.
    NoClass(&'static str),
    /// The headers declare this class without virtual methods.
    NoMethods(&'static str),
}

impl fmt::Display for FakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TemporaryDirectory(error) => write!(f, "temporary directory: {error}"),
            Self::Write { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoCompiler { compiler, error } => {
                write!(f, "no C++ compiler ({}): {error}", compiler.display())
            }
            Self::Compile(said) => write!(f, "the stand-in does not compile: {said}"),
            Self::NoPackage => f.write_str("no package carries the headers of TensorRT 8"),
            Self::NoCargo(error) => write!(f, "cargo: {error}"),
            Self::Fetch { version, said } => {
                write!(f, "cannot fetch trtx-sys {version} for its headers: {said}")
            }
            Self::NoPath => f.write_str("cargo fetched trtx-sys but does not say where to"),
            Self::NoHeader(directory) => write!(f, "no NvInfer.h in {}", directory.display()),
            Self::NoClass(class) => write!(f, "the headers have no class {class}"),
            Self::NoMethods(class) => write!(f, "{class} has no virtual methods"),
        }
    }
}

impl std::error::Error for FakeError {}
