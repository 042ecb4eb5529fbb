//! Why a picture cannot be made.

use hanja_record::LayoutError;

/// Why a picture cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A format of a later version.
    #[error("unknown pixel format {fourcc:#010x}: use the same release for all stages")]
    Format {
        /// The V4L2 number.
        fourcc: u32,
    },
    /// Numbers that fit neither each other nor the bytes.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A JPEG of another size than its frame, where the size may not change.
    #[error("the camera's JPEG has {}x{} pixels, its frame says {}x{}", got.0, got.1, frame.0, frame.1)]
    Mismatch {
        /// Width and height in the JPEG.
        got: (u32, u32),
        /// Width and height in the metadata.
        frame: (u32, u32),
    },
    /// A JPEG that is damaged.
    #[error("the camera's JPEG of {got} bytes cannot be decoded: {source}")]
    Decode {
        /// Bytes at hand.
        got: usize,
        /// What is wrong with it.
        source: image::ImageError,
    },
    /// The JPEG encoder refused.
    #[error("cannot encode a JPEG: {0}")]
    Encode(#[from] jpeg_encoder::EncodingError),
}
