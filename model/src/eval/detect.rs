//! Runs a model over a data set with the product's own detector, so that scores come from the code
//! path of the camera's frames.

use super::boxes::{Detection, Frame, PixelBox};
use super::{EvalError, read_dataset};
use hanja_infer::Detector;
use hanja_stage::config::InferConfig;
use std::path::Path;

/// Score from which detections enter the precision-recall curve, as is usual for YOLOv5.
pub const CURVE_THRESHOLD: f32 = 0.001;

/// What a model finds in a data set.
#[derive(Debug)]
pub struct Run {
    /// Its pictures, with labels and detections.
    pub frames: Vec<Frame>,
    /// The model's description of itself.
    pub model: String,
    /// The product's default threshold for it.
    pub default_conf: f32,
}

/// Runs the configured model over the data set in `data`.
///
/// `config.conf` is not used: everything from [`CURVE_THRESHOLD`] is kept, because average
/// precision needs the weak detections too. `progress` gets the number of pictures
/// done and of all.
///
/// # Errors
/// See [`EvalError`].
pub fn frames_from_model(
    data: &Path,
    config: &InferConfig,
    mut progress: impl FnMut(usize, usize),
) -> Result<Run, EvalError> {
    let pictures = read_dataset(data)?;
    let mut detector = Detector::load(&InferConfig {
        conf: Some(CURVE_THRESHOLD),
        ..config.clone()
    })?;
    let mut frames = Vec::with_capacity(pictures.len());
    let total = pictures.len();
    for (path, mut frame) in pictures {
        let picture = hanja_picture::read(&path, u64::MAX)?;
        let found = detector.detect(&picture.view())?;
        frame.detections = found.detections.iter().map(detection).collect();
        frames.push(frame);
        progress(frames.len(), total);
    }
    Ok(Run {
        frames,
        model: detector.model_info().to_string(),
        default_conf: detector.default_conf(),
    })
}

fn detection(d: &hanja_record::Detection) -> Detection {
    let [x1, y1, x2, y2] = [d.x1, d.y1, d.x2, d.y2].map(f64::from);
    Detection {
        class: usize::from(d.class),
        score: f64::from(d.score),
        area: PixelBox { x1, y1, x2, y2 },
    }
}
