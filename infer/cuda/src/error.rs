//! What can go wrong, with messages that say what to do.

use std::sync::Arc;

/// Why there is no GPU to work with. Not a failure: the CPU does the work then.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unavailable {
    /// No libcuda.
    #[error(
        "no NVIDIA driver: libcuda.so.1 is not installed (it comes with the driver, on a Jetson with JetPack), or the loader cannot find it"
    )]
    NoLibrary,
    /// A library of that name without the driver's functions.
    #[error(
        "libcuda has no function {0}, which every driver since CUDA 10.2 has: install a newer driver"
    )]
    MissingFunction(&'static str),
    /// The driver found nothing.
    #[error("the NVIDIA driver is there but no GPU")]
    NoDevice,
    /// A driver from before CUDA 10.2.
    #[error("the NVIDIA driver is for CUDA {}.{}; 10.2 or newer is needed: install a newer driver", .0 / 1000, .0 % 1000 / 10)]
    OldDriver(i32),
    /// A GPU from before the Tegra X1.
    #[error("the GPU {name} has compute capability {}.{}; 5.3 or newer is needed", .capability.0, .capability.1)]
    OldDevice {
        /// Its name.
        name: String,
        /// Compute capability.
        capability: (u32, u32),
    },
    /// The driver refused to start.
    #[error(
        "the NVIDIA driver does not work: {0}; see whether nvidia-smi (on a Jetson, dmesg) agrees, and whether this user may open /dev/nvidia*"
    )]
    Refused(String),
}

/// What to do about an error after which nothing works.
const LOST: &str = "; the GPU's context is lost: start again";

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The driver returned an error.
    #[error("{call}: {what} (CUDA error {code}){}", if is_fatal(*code) { LOST } else { "" })]
    Driver {
        /// The function.
        call: &'static str,
        /// Its code.
        code: u32,
        /// The driver's message.
        what: String,
    },
    /// The driver cannot compile our kernels.
    #[error(
        "the driver refuses the kernels: {what} (CUDA error {code}){log}; a newer driver may take them"
    )]
    Kernels {
        /// Its code.
        code: u32,
        /// The driver's message.
        what: String,
        /// The compiler's message, with a colon before it.
        log: String,
    },
    /// The driver is too old for a function whose presence the caller should have checked.
    #[error("this driver has no {0}: it needs CUDA 11.4 or newer")]
    Unsupported(&'static str),
    /// Sizes that do not fit.
    #[error("{what} has {got} bytes where {needed} are needed")]
    Size {
        /// Which memory.
        what: &'static str,
        /// Bytes wanted.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// A number outside its range.
    #[error("{what} cannot be {value}")]
    Number {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// More frames than there are buffers.
    #[error("both buffer sets are in use: wait for a result before the next frame")]
    Busy,
    /// The engine failed to put its work into the stream.
    #[error("the engine: {source}{}", if *lost { LOST } else { "" })]
    Engine {
        /// Its error.
        source: Arc<dyn std::error::Error + Send + Sync>,
        /// The GPU's context is lost.
        lost: bool,
    },
}

impl Error {
    /// Whether the GPU cannot be used in this process any more: its context is lost, or returns an earlier error for every
    /// call. The process has to start again.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Driver { code, .. } | Self::Kernels { code, .. } => is_fatal(*code),
            Self::Engine { lost, .. } => *lost,
            _ => false,
        }
    }

    pub(crate) fn number(what: &'static str, value: impl ToString) -> Self {
        Self::Number {
            what,
            value: value.to_string(),
        }
    }
}

/// The codes that the driver's documentation calls unrecoverable, and those of a device or context that is gone.
fn is_fatal(code: u32) -> bool {
    matches!(
        code,
        3 | 4 | 46 | 100 | 201 | 214 | 220 | 700 | 702 | 709 | 710 | 714..=719 | 999
    )
}
