//! Picture files, and the lines of `hanja detect --json` for them, which are an external contract.

use crate::detector::ModelInfo;
use hanja_record::{Detection, FrameRef, MAX_PIXELS, PixelFormat};
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage, RgbaImage};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The most memory that a decoder may use: 100 megapixels of four 16-bit channels.
const MOST_MEMORY: u64 = 8 * MAX_PIXELS;

/// A file that is no picture we can use.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the picture {}: {reason}", path.display())]
pub struct StillError {
    path: PathBuf,
    reason: String,
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

/// Reads JPEG, PNG, BMP or WebP. Transparent parts become white, as paper.
///
/// # Errors
/// The file is missing, damaged, of another kind or too large; the error names it.
pub fn read_picture(path: &Path) -> Result<Picture, StillError> {
    let fail = |reason: String| StillError {
        path: path.to_owned(),
        reason: reason.replace('\n', " "),
    };
    let mut reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|e| fail(e.to_string()))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| fail(e.to_string()))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(fail(format!(
            "{width}x{height} pixels are too many; scale it down to 100 megapixels at most"
        )));
    }
    let orientation = decoder.orientation().map_err(|e| fail(e.to_string()))?;
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

/// One picture's line.
#[derive(Debug, Serialize)]
pub struct PictureJson {
    image: String,
    width: u32,
    height: u32,
    /// Best first.
    pub detections: Vec<FoundJson>,
}

/// One detection.
#[derive(Debug, Serialize)]
pub struct FoundJson {
    class: u16,
    /// The class's name.
    pub label: String,
    /// 0 to 1.
    pub score: f32,
    #[serde(rename = "box")]
    corners: [f32; 4],
}

impl PictureJson {
    /// The line for a picture and its detections.
    #[must_use]
    pub fn new(path: &Path, picture: &Picture, found: &[Detection], model: &ModelInfo) -> Self {
        let one = |d: &Detection| FoundJson {
            class: d.class,
            label: model
                .names
                .get(usize::from(d.class))
                .cloned()
                .unwrap_or_else(|| hanja_record::numeral(d.class).into_owned()),
            score: d.score,
            corners: [d.x1, d.y1, d.x2, d.y2],
        };
        Self {
            image: path.display().to_string(),
            width: picture.width,
            height: picture.height,
            detections: found.iter().map(one).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
