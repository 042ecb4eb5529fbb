//! Why a picture cannot be used.

use hanja_record::LayoutError;

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PreprocessError {
    /// A fourcc that no [`PixelFormat`](hanja_record::PixelFormat) has.
    #[error("frames of format {:?} cannot be read; choose another with format= in the source", String::from_utf8_lossy(&.0.to_le_bytes()))]
    Format(u32),
    /// Numbers that fit neither each other nor the bytes.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A damaged JPEG.
    #[error("the JPEG cannot be decoded: {0}")]
    Jpeg(String),
    /// Numbers that the GPU's path is not made for.
    #[error("the GPU cannot convert this picture: {0}")]
    Gpu(String),
}
