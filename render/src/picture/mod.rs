//! Pictures: camera frames to JPEG for the browser, to planes for other programs, and with the boxes drawn in.
//!
//! Colour: YUV from a camera is BT.601 limited range (16 to 235), JPEG is BT.601 full range. Both share the matrix,
//! so a camera's YUV becomes JPEG's by stretching each component; no detour through RGB. GREY is taken as it is.

mod annotate;
mod encode;
mod labels;
mod pixels;
mod planes;

pub use annotate::annotated_jpeg;
pub use encode::to_jpeg;
pub use hanja_common::record::FrameRef;
pub use planes::to_i420;

use hanja_common::record::PixelFormat;

/// Why a picture cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A format of a later version.
    #[error("unknown pixel format {fourcc:#010x}: use the same release for all stages")]
    Format {
        /// The V4L2 number.
        fourcc: u32,
    },
    /// A width or height that no picture has, or JPEG cannot hold.
    #[error("a picture of {width}x{height} pixels cannot be shown: both sides must be 1 to {most}")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The longest side.
        most: u32,
    },
    /// Lines that overlap.
    #[error("{format} lines of {stride} bytes cannot hold {width} pixels: they need {needed}")]
    Stride {
        /// The format.
        format: PixelFormat,
        /// Width in pixels.
        width: u32,
        /// Bytes per line.
        stride: u32,
        /// Least bytes per line.
        needed: u32,
    },
    /// Fewer bytes than the size asks for.
    #[error("{format} picture of {width}x{height} is cut short: {got} bytes of {needed}")]
    Short {
        /// The format.
        format: PixelFormat,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes at hand.
        got: usize,
        /// Bytes needed.
        needed: u64,
    },
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

/// Longest side: bounds what a damaged header can make us allocate (3 bytes a pixel, 192 MiB).
pub(crate) const MOST: u32 = 8192;

/// Checks that the numbers of a frame fit each other and its bytes. All readers index freely after this.
pub(crate) fn check(frame: &FrameRef<'_>) -> Result<(), PictureError> {
    let &FrameRef {
        format,
        width,
        height,
        stride,
        bytes,
    } = frame;
    if !(1..=MOST).contains(&width) || !(1..=MOST).contains(&height) {
        return Err(PictureError::Size {
            width,
            height,
            most: MOST,
        });
    }
    if format == PixelFormat::Mjpg {
        return Ok(());
    }
    let needed = format.min_stride(width);
    // The upper bound keeps the sums of plane offsets far from overflow.
    if stride < needed || stride > 16 * MOST {
        return Err(PictureError::Stride {
            format,
            width,
            stride,
            needed,
        });
    }
    let needed = least_bytes(frame);
    if (bytes.len() as u64) < needed {
        return Err(PictureError::Short {
            format,
            width,
            height,
            got: bytes.len(),
            needed,
        });
    }
    Ok(())
}

/// Bytes up to the last pixel: some drivers leave out the padding of the last line.
fn least_bytes(frame: &FrameRef<'_>) -> u64 {
    let last = match frame.format {
        PixelFormat::I420 => frame.stride.div_ceil(2) - frame.width.div_ceil(2),
        PixelFormat::Nv12 => frame.stride.next_multiple_of(2) - frame.width.next_multiple_of(2),
        format => frame.stride - format.min_stride(frame.width),
    };
    frame
        .format
        .frame_bytes(frame.stride, frame.width, frame.height)
        - u64::from(last)
}

#[cfg(test)]
pub(crate) mod tests;
