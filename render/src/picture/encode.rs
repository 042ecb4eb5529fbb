//! Frame to JPEG, fed line by line from the camera's own bytes.

use super::pixels::Lines;
use super::{FrameRef, PictureError};
use hanja_record::PixelFormat;
use jpeg_encoder::{ColorType, Encoder, ImageBuffer, JpegColorType, SamplingFactor};

/// The frame as a JPEG of `quality` 1 to 100, chroma at half resolution both ways. MJPG passes through untouched.
///
/// # Errors
/// Numbers that do not fit the bytes, see [`PictureError`].
pub fn to_jpeg(frame: &FrameRef<'_>, quality: u8) -> Result<Vec<u8>, PictureError> {
    if frame.format == PixelFormat::Mjpg {
        frame.check_size()?;
        return Ok(frame.bytes.to_vec());
    }
    let picture = Picture {
        lines: Lines::of(frame)?,
        // Both are at most MAX_SIDE.
        width: frame.width as u16,
        height: frame.height as u16,
        grey: frame.format == PixelFormat::Grey,
    };
    let mut out = Vec::with_capacity(frame.bytes.len() / 8);
    encoder(&mut out, quality).encode_image(picture)?;
    Ok(out)
}

/// An RGB picture as JPEG.
pub(super) fn rgb_to_jpeg(rgb: &image::RgbImage, quality: u8) -> Result<Vec<u8>, PictureError> {
    let mut out = Vec::with_capacity(rgb.as_raw().len() / 8);
    // Decoded pictures are limited to MAX_SIDE on both sides.
    let (width, height) = (rgb.width() as u16, rgb.height() as u16);
    encoder(&mut out, quality).encode(rgb.as_raw(), width, height, ColorType::Rgb)?;
    Ok(out)
}

fn encoder(out: &mut Vec<u8>, quality: u8) -> Encoder<&mut Vec<u8>> {
    let mut encoder = Encoder::new(out, quality.clamp(1, 100));
    // Most camera formats have no more chroma than this anyway.
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder
}

struct Picture<'a> {
    lines: Lines<'a>,
    width: u16,
    height: u16,
    grey: bool,
}

impl ImageBuffer for Picture<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.grey {
            JpegColorType::Luma
        } else {
            JpegColorType::Ycbcr
        }
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, row: u16, buffers: &mut [Vec<u8>; 4]) {
        self.lines.ycbcr(usize::from(row), buffers);
    }
}
