//! The cameras of this machine: for `hanja doctor`, for `auto`, and for error messages.

use std::fmt;
use std::path::PathBuf;

/// A video device node.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Node, like `/dev/video0`.
    pub path: PathBuf,
    /// The camera's name; empty if the device could not be opened.
    pub card: String,
    /// Name of the kernel driver; empty as above.
    pub driver: String,
    /// Those of its formats that the pipeline understands, like `YUYV`.
    pub formats: Vec<&'static str>,
    /// Why it is not usable; none if it is.
    pub problem: Option<String>,
}

impl DeviceInfo {
    /// Whether capture could use it.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.problem.is_none()
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if !self.card.is_empty() {
            write!(f, " \"{}\" ({})", self.card, self.driver)?;
        }
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        match &self.problem {
            Some(problem) => write!(f, ": {problem}"),
            None => Ok(()),
        }
    }
}

/// Every video device node, usable or not, in order.
#[must_use]
pub fn list_devices() -> Vec<DeviceInfo> {
    crate::v4l2::list()
}
