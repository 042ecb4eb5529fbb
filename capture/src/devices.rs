//! Which cameras there are: for `hanja doctor`, for `auto`, and for error messages.

use std::fmt;
use std::path::PathBuf;

/// A video device node.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Node, like `/dev/video0`.
    pub path: PathBuf,
    /// The camera's name; empty if it could not be asked.
    pub card: String,
    /// Kernel driver.
    pub driver: String,
    /// Names of the formats that the pipeline understands.
    pub formats: Vec<&'static str>,
    /// Why it cannot be used, if it cannot.
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
