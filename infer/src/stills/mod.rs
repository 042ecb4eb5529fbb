//! The lines of `hanja detect --json`, which are an external contract.

use crate::detector::ModelInfo;
use hanja_picture::Picture;
use hanja_record::Detection;
use serde::Serialize;
use std::path::Path;

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
