//! Pictures: camera frames to JPEG for the browser, to planes for other programs, and with the boxes drawn in.
//!
//! Colour: YUV from a camera is BT.601 limited range (16 to 235), JPEG is BT.601 full range. Both share the matrix,
//! so a camera's YUV becomes JPEG's by stretching each component; no detour through RGB. GREY is taken as it is.

mod annotate;
mod encode;
mod error;
mod labels;
mod pixels;
mod planes;

pub use annotate::annotated_jpeg;
pub use encode::to_jpeg;
pub use error::PictureError;
pub use hanja_record::FrameRef;
pub use planes::to_i420;

#[cfg(test)]
pub(crate) mod tests;
