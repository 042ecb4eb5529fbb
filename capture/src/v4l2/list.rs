//! The cameras that there are.

use super::device;
use crate::devices::DeviceInfo;

/// See [`crate::devices::list_devices`].
pub(crate) fn list() -> Vec<DeviceInfo> {
    device::nodes().into_iter().map(inspect).collect()
}

fn inspect(path: std::path::PathBuf) -> DeviceInfo {
    let mut info = DeviceInfo {
        path,
        card: String::new(),
        driver: String::new(),
        formats: Vec::new(),
        problem: None,
    };
    match device::open(&info.path).and_then(|fd| Ok((device::identify(&fd)?, fd))) {
        Ok((identity, fd)) => {
            info.formats = device::offers(&fd)
                .iter()
                .map(|o| o.format.name())
                .collect();
            if !identity.captures {
                info.problem = Some("does not capture".into());
            } else if info.formats.is_empty() {
                info.problem = Some("offers no format that is understood".into());
            }
            (info.card, info.driver) = (identity.card, identity.driver);
        }
        Err(e) => info.problem = Some(e.to_string()),
    }
    info
}
