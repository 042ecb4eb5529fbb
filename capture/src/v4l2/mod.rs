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
mod list;
mod negotiate;
mod sys;

pub(crate) use camera::{Camera, CameraChoice, CameraRequest};
pub(crate) use list::list;
