//! Picture files.

use crate::jpeg;
use hanja_record::{FrameRef, MAX_PIXELS, PixelFormat};
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage, RgbaImage};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// The largest file that is taken for a picture.
const MOST_BYTES: u64 = 128 << 20;
/// The most memory that a decoder may use: 100 megapixels of four 16-bit channels.
const MOST_MEMORY: u64 = 8 * MAX_PIXELS;

/// A file that is no picture we can use.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the picture {}: {reason}", path.display())]
pub struct StillError {
    path: PathBuf,
    /// What is wrong with it, in one line.
    pub reason: String,
}

impl StillError {
    fn new(path: &Path, reason: &str) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.replace('\n', " "),
        }
    }
}

/// A decoded picture, turned the way its EXIF data says.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Width in pixels, as shown.
    pub width: u32,
    /// Height in pixels, as shown.
    pub height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// Rows of R, G, B, from the top, without padding.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// For the detector and for drawing.
    #[must_use]
    pub fn view(&self) -> FrameRef<'_> {
        let (width, height) = (self.width, self.height);
        FrameRef {
            format: PixelFormat::Rgb3,
            width,
            height,
            stride: 3 * width,
            bytes: &self.rgb,
        }
    }
}

/// The bytes of a picture file, not decoded.
///
/// # Errors
/// The file is missing, no regular file (opening a pipe would wait for its writer), or larger than 128 MiB; the error names
/// it.
pub fn bytes(path: &Path) -> Result<Vec<u8>, StillError> {
    let fail = |reason: String| StillError::new(path, &reason);
    let about = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if !about.is_file() {
        return Err(fail("not a regular file".into()));
    }
    let length = about.len();
    if length > MOST_BYTES {
        return Err(fail(format!("{length} bytes are too many")));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}

/// Reads JPEG, PNG, BMP or WebP. Transparent parts become white, as paper; EXIF data are obeyed.
///
/// # Errors
/// As of [`bytes`]; or the file is damaged, of another kind, or of more than `most` pixels (100 megapixels in any case).
pub fn read(path: &Path, most: u64) -> Result<Picture, StillError> {
    decode(path, &bytes(path)?, most)
}

/// The picture in `bytes`, which are those of the file `path`.
///
/// # Errors
/// See [`read`].
pub fn decode(path: &Path, bytes: &[u8], most: u64) -> Result<Picture, StillError> {
    let fail = |reason: String| StillError::new(path, &reason);
    let most = most.min(MAX_PIXELS);
    let jpeg = jpeg::Header::read(bytes);
    let mut put_together = Vec::new();
    let whole = jpeg.as_ref().map(|header| header.whole(bytes));
    let whole = whole.map_or(bytes, |whole| whole.in_one_piece(&mut put_together));
    let mut reader = ImageReader::new(Cursor::new(whole))
        .with_guessed_format()
        .map_err(|e| fail(e.to_string()))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| fail(e.to_string()))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most {
        let most = most / 1_000_000;
        return Err(fail(format!(
            "{width}x{height} pixels are too many; scale it down to {most} megapixels at most"
        )));
    }
    let orientation = match &jpeg {
        Some(header) => header.orientation, // its EXIF data are not in `whole`
        None => decoder.orientation().map_err(|e| fail(e.to_string()))?,
    };
    if jpeg.is_some() && !jpeg::has_end(bytes) && !is_complete(whole) {
        return Err(fail("the JPEG is cut short".into()));
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| fail(e.to_string()))?;
    picture.apply_orientation(orientation);
    let rgb = if picture.color().has_alpha() {
        on_paper(&picture.into_rgba8())
    } else {
        picture.into_rgb8()
    };
    Ok(Picture {
        width: rgb.width(),
        height: rgb.height(),
        rgb: rgb.into_raw(),
    })
}

/// Whether there is a pixel for every place. The decoder above makes grey ones out of what is missing.
fn is_complete(jpeg: &[u8]) -> bool {
    let strict = DecoderOptions::new_fast().set_strict_mode(true);
    JpegDecoder::new_with_options(ZCursor::new(jpeg), strict)
        .decode()
        .is_ok()
}

/// Puts a picture on white paper: in writing on a transparent ground, the transparent pixels are mostly black too.
fn on_paper(picture: &RgbaImage) -> RgbImage {
    let mut out = RgbImage::new(picture.width(), picture.height());
    for (to, from) in out.pixels_mut().zip(picture.pixels()) {
        let [red, green, blue, alpha] = from.0.map(u16::from);
        let over = |v: u16| ((v * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        to.0 = [red, green, blue].map(over);
    }
    out
}

#[cfg(test)]
mod tests;
