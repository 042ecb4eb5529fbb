//! Cameras, through the kernel's V4L2 interface.
//!
//! | file | idea |
//! |---|---|
//! | `sys` | the structures and ioctls, as `linux/videodev2.h` has them |
//! | `buffers` | the driver's memory and who owns it when; with `sys` the only `unsafe` of this crate |
//! | `negotiate` | chooses from the offered formats and sizes: pure functions |
//! | `device` | one open, streaming camera |
//! | `camera` | a camera as a source that survives being unplugged |

mod buffers;
mod camera;
mod device;
mod negotiate;
mod sys;

pub(crate) use camera::{Camera, CameraChoice, CameraRequest};

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
