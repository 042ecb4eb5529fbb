//! Files: pictures, YOLO label lines and the `data.yaml` that training tools read.

use super::geometry::Rect;
use super::scene::{Label, Picture};
use super::{Format, SynthError};
use hanja_handwriting::LABELS;
use image::ImageEncoder;
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
use rand::{Rng, RngExt};
use std::path::Path;

/// Compresses a picture. JPEG comes at a random quality, one in five after an earlier, worse one,
/// because pictures reach a user that way.
pub(crate) fn encode(
    picture: &Picture,
    format: Format,
    rng: &mut impl Rng,
) -> Result<Vec<u8>, String> {
    let (width, height) = (picture.canvas.width as u32, picture.canvas.height as u32);
    let rgb = picture.canvas.to_rgb8();
    let quality = rng.random_range(60..=95);
    let early = rng.random_bool(0.2).then(|| rng.random_range(25..60u8));
    let kind = image::ExtendedColorType::Rgb8;
    let mut out = Vec::new();
    match format {
        Format::Png => PngEncoder::new(&mut out)
            .write_image(&rgb, width, height, kind)
            .map_err(|e| e.to_string())?,
        Format::Jpg => {
            let rgb = match early {
                Some(quality) => {
                    let bytes = jpeg(&rgb, width, height, quality)?;
                    image::load_from_memory(&bytes)
                        .map_err(|e| e.to_string())?
                        .into_rgb8()
                        .into_raw()
                }
                None => rgb,
            };
            out = jpeg(&rgb, width, height, quality)?;
        }
    }
    Ok(out)
}

fn jpeg(rgb: &[u8], width: u32, height: u32, quality: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(32 * 1024);
    JpegEncoder::new_with_quality(&mut out, quality)
        .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
        .map_err(|e| e.to_string())?;
    Ok(out)
}

/// The label file's text: `class cx cy w h` a line, as shares of the picture.
pub(crate) fn label_text(picture: &Picture) -> String {
    let line = |(class, r): &Label| format!("{class} {}\n", shares(picture, r));
    picture.labels.iter().map(line).collect()
}

/// The text of the file of other characters: `cx cy w h` a line, as shares of the picture.
pub(crate) fn others_text(picture: &Picture) -> String {
    let line = |r: &Rect| format!("{}\n", shares(picture, r));
    picture.others.iter().map(line).collect()
}

fn shares(picture: &Picture, r: &Rect) -> String {
    let (w, h) = (picture.canvas.width as f32, picture.canvas.height as f32);
    let (cx, cy) = ((r.left + r.right) / 2.0 / w, (r.top + r.bottom) / 2.0 / h);
    let (width, height) = (r.width() / w, r.height() / h);
    format!("{cx:.6} {cy:.6} {width:.6} {height:.6}")
}

/// Writes `data.yaml` for a data set whose pictures all lie in `images/`.
pub(crate) fn data_yaml(folder: &Path) -> Result<(), SynthError> {
    let names: String = LABELS
        .iter()
        .enumerate()
        .map(|(i, name)| format!("  {i}: {name}\n"))
        .collect();
    let text = format!(
        "train: images\nval: images\nnc: {}\nnames:\n{names}",
        LABELS.len()
    );
    let path = folder.join("data.yaml");
    std::fs::write(&path, text).map_err(|source| SynthError::Write { path, source })
}
