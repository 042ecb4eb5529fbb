//! What can go wrong, with messages that name the library and include TensorRT's own, where it gave one.

/// The environment variable that names TensorRT's library, or the directory that has it; nothing else is tried then.
pub const LIBRARY_VARIABLE: &str = "HANJA_TENSORRT_LIB";

/// One library that was tried and could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The name or path that was opened.
    pub name: String,
    /// Why it cannot be used.
    pub why: String,
}

/// No usable TensorRT library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// Everything that was tried, in order.
    pub tried: Vec<Attempt>,
}

impl Attempt {
    /// Whether there simply is no such file, by the loader's message.
    fn is_missing(&self) -> bool {
        self.why
            == format!(
                "{}: cannot open shared object file: No such file or directory",
                self.name
            )
    }
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A library that is there and unusable can be repaired, so it gets its reason; missing ones are only named.
        let unusable: Vec<_> = self.tried.iter().filter(|a| !a.is_missing()).collect();
        if unusable.is_empty() {
            let names: Vec<_> = self.tried.iter().map(|a| a.name.as_str()).collect();
            write!(f, "no TensorRT library found ({})", names.join(", "))?;
        } else {
            f.write_str("no usable TensorRT library")?;
            for (i, Attempt { name, why }) in unusable.into_iter().enumerate() {
                write!(f, "{}{name}: {why}", if i == 0 { ": " } else { "; " })?;
            }
        }
        write!(
            f,
            ": install TensorRT, or name its file or directory in {}",
            LIBRARY_VARIABLE
        )
    }
}

impl std::error::Error for LoadError {}

/// A call to TensorRT that failed, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TensorRT refused; `said` is what it wrote to its log meanwhile (other threads' errors can be among it).
    #[error("{library}: {call} failed: {said}")]
    Call {
        /// Product and version.
        library: String,
        /// The method.
        call: String,
        /// TensorRT's last errors, or that it said nothing.
        said: String,
    },
    /// The ONNX parser refused the model.
    #[error("{library}: the ONNX parser refused the model: {}", errors.join("; "))]
    Onnx {
        /// Product and version.
        library: String,
        /// One text per error, with the node's number and name where the parser gives them.
        errors: Vec<String>,
    },
    /// Something asked of a version that does not have it.
    #[error("{library}: {why}")]
    Unsupported {
        /// Product and version.
        library: String,
        /// What, and what to do instead.
        why: String,
    },
    /// The ONNX parser's library is missing or unusable.
    #[error("{library}: no usable ONNX parser library, which builds engines: {why}")]
    Parser {
        /// Product and version.
        library: String,
        /// What was tried.
        why: String,
    },
    /// The model's or engine's tensors are not what the call assumes.
    #[error("{0}")]
    Tensor(String),
    /// The progress callback asked to stop.
    #[error("the engine build was cancelled")]
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_only_named() {
        let missing = |name: &str| Attempt {
            name: name.into(),
            why: format!("{name}: cannot open shared object file: No such file or directory"),
        };
        let mut error = LoadError {
            tried: vec![missing("libnvinfer.so.11"), missing("libnvinfer.so.10")],
        };
        let message = error.to_string();
        assert!(
            message.contains("found (libnvinfer.so.11, libnvinfer.so.10): install"),
            "{message}"
        );
        error.tried.push(Attempt {
            name: "libnvinfer.so.8".into(),
            why: "it is version 8.9".into(),
        });
        let message = error.to_string();
        assert!(
            message
                .contains("usable TensorRT library: libnvinfer.so.8: it is version 8.9: install"),
            "{message}"
        );
    }
}
