//! The second, smaller input of a picture. A character that fills the frame is larger at the first input than anything the
//! network has learned; at the second one it has a usual size. The second input is made from the first, and the boxes found
//! in it are converted to the first one's pixels.
//!
//! The model runs on it while it runs on the first one, on threads that are idle then: the layers of so small an input are
//! too short to be shared between threads, and those of the large one leave gaps on every core but one.

use crate::backend::{CpuBackend, Input};
use crate::decode::decode;
use crate::error::InferError;
use crate::model::sizes::LEAST_SECOND;
use crate::nms::ScoredBox;
use crate::preprocess::{BARS, Resampler};

/// Share of its own length by which the picture may be made smaller if that saves a row of cells.
const SPARED: f32 = 0.1;

/// The model for the second input, and what makes that input; buffers and resampling weights are kept until the geometry
/// changes.
#[derive(Debug)]
pub(crate) struct Coarse {
    /// The model, loaded once more.
    backend: Box<dyn CpuBackend>,
    shrink: Shrink,
    /// What was found in the last picture, in the pixels of the second input.
    found: Vec<ScoredBox>,
    /// Rows of the model's output.
    rows: usize,
}

/// Makes the second input.
#[derive(Debug)]
struct Shrink {
    /// Wanted long side, a multiple of `stride`.
    size: usize,
    stride: usize,
    plan: Option<Plan>,
    line: Vec<f32>,
    tensor: Vec<f32>,
}

#[derive(Debug)]
struct Plan {
    /// Width and height of the first input.
    from: (usize, usize),
    /// Width and height of this one.
    to: (usize, usize),
    across: Resampler,
    down: Resampler,
    /// Pixels of the first input per pixel of this one.
    scale: (f32, f32),
}

impl Plan {
    fn new(from: (usize, usize), size: usize, stride: usize) -> Self {
        let long = from.0.max(from.1) as f32;
        let nominal = |side: usize| side as f32 * size as f32 / long;
        let cells = |side: usize| {
            let least = nominal(side) * (1.0 - SPARED);
            (least as usize).max(1).next_multiple_of(stride)
        };
        let to = (cells(from.0), cells(from.1));
        let ratio = (to.0 as f32 / from.0 as f32)
            .min(to.1 as f32 / from.1 as f32)
            .min(size as f32 / long);
        let fit = |side: usize| ((side as f32 * ratio).round() as usize).max(1);
        let (width, height) = (fit(from.0), fit(from.1));
        Self {
            from,
            to,
            across: Resampler::new(from.0, width),
            down: Resampler::new(from.1, height),
            scale: (from.0 as f32 / width as f32, from.1 as f32 / height as f32),
        }
    }
}

impl Shrink {
    fn new(size: u32, stride: usize) -> Self {
        Self {
            size: (size as usize).next_multiple_of(stride),
            stride,
            plan: None,
            line: Vec::new(),
            tensor: Vec::new(),
        }
    }

    /// Makes the input from the first one.
    fn run(&mut self, first: Input<'_>) -> Input<'_> {
        let from = (first.width, first.height);
        if self.plan.as_ref().is_none_or(|plan| plan.from != from) {
            self.plan = None;
            self.tensor.clear();
        }
        let (size, stride) = (self.size, self.stride);
        let plan = self
            .plan
            .get_or_insert_with(|| Plan::new(from, size, stride));
        let (width, height) = plan.to;
        self.tensor.resize(3 * width * height, BARS);
        self.line.resize(from.0, 0.0);
        let planes = first.data.chunks_exact((from.0 * from.1).max(1));
        for (plane, out) in planes.zip(self.tensor.chunks_exact_mut(width * height)) {
            for (y, row) in (0..plan.down.len()).zip(out.chunks_exact_mut(width)) {
                self.line.fill(0.0);
                let (top, weights) = plan.down.at(y);
                for (weight, source) in weights
                    .iter()
                    .zip(plane[top * from.0..].chunks_exact(from.0))
                {
                    for (sum, value) in self.line.iter_mut().zip(source) {
                        *sum += weight * value;
                    }
                }
                for (x, out) in (0..plan.across.len()).zip(row) {
                    let (left, weights) = plan.across.at(x);
                    let samples = &self.line[left..][..weights.len()];
                    *out = weights.iter().zip(samples).map(|(w, v)| w * v).sum();
                }
            }
        }
        Input {
            data: &self.tensor,
            height,
            width,
        }
    }
}

impl Coarse {
    /// For a long side of about `size` pixels. The model is loaded in `backend`.
    pub(crate) fn new(backend: Box<dyn CpuBackend>, size: u32) -> Self {
        let shrink = Shrink::new(size, backend.facts().stride);
        Self {
            backend,
            shrink,
            found: Vec::new(),
            rows: 0,
        }
    }

    /// Runs the model on the first input made smaller; boxes of at least the score `conf` are kept for
    /// [`merge_into`](Self::merge_into).
    pub(crate) fn infer(&mut self, first: Input<'_>, conf: f32) -> Result<(), InferError> {
        let predictions = self.backend.infer(self.shrink.run(first))?;
        self.rows = predictions.rows;
        decode(predictions, conf, &mut self.found);
        Ok(())
    }

    /// Rows of the model's output for the last picture.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the boxes that are large enough to `candidates`, in the first input's pixels; their row numbers follow its `rows`.
    /// Returns how many.
    pub(crate) fn merge_into(&self, candidates: &mut Vec<ScoredBox>, rows: u32) -> u32 {
        let Some(plan) = &self.shrink.plan else {
            return 0;
        };
        let least = LEAST_SECOND * plan.from.0.max(plan.from.1) as f32;
        let (sx, sy) = plan.scale;
        let before = candidates.len();
        candidates.extend(self.found.iter().filter_map(|c| {
            let scaled = ScoredBox {
                x1: c.x1 * sx,
                y1: c.y1 * sy,
                x2: c.x2 * sx,
                y2: c.y2 * sy,
                row: c.row + rows,
                ..*c
            };
            let long = (scaled.x2 - scaled.x1).max(scaled.y2 - scaled.y1);
            (long >= least).then_some(scaled)
        }));
        (candidates.len() - before) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelFile;
    use crate::preprocess::{Letterbox, Target};
    use hanja_stage::config::InferConfig;

    fn letterbox(width: usize, height: usize) -> Letterbox {
        let target = Target::LongSide {
            size: 416,
            stride: 32,
        };
        Letterbox::new(width, height, target)
    }

    #[test]
    fn the_usual_frames_spare_a_row_of_cells() {
        for (frame, want) in [
            ((640, 480), (128, 96)),
            ((640, 360), (128, 96)),
            ((480, 640), (96, 128)),
            ((500, 500), (128, 128)),
            ((2000, 100), (128, 32)),
        ] {
            let letterbox = letterbox(frame.0, frame.1);
            let from = (letterbox.net_width, letterbox.net_height);
            let plan = Plan::new(from, 128, 32);
            assert_eq!(plan.to, want, "{frame:?}");
            assert!(plan.across.len() <= plan.to.0 && plan.down.len() <= plan.to.1);
        }
    }

    #[test]
    fn boxes_come_back_to_where_they_were() {
        let letterbox = letterbox(640, 480);
        let (w, h) = (letterbox.net_width, letterbox.net_height);
        // Columns 104 to 312, lines 80 to 240 are dark.
        let dark = |i: usize| (104..312).contains(&(i % w)) && (80..240).contains(&(i / w % h));
        let first: Vec<f32> = (0..3 * w * h)
            .map(|i| f32::from(u8::from(!dark(i))))
            .collect();
        let config = InferConfig {
            threads: Some(1),
            ..InferConfig::default()
        };
        let backend = crate::backend::rten_for_tests(&ModelFile::open(None).unwrap(), &config);
        let mut coarse = Coarse::new(backend, 128);
        let Input {
            data: tensor,
            height,
            width,
        } = coarse.shrink.run(Input {
            data: &first,
            height: h,
            width: w,
        });
        assert_eq!((width, height), (128, 96));
        let dark = |x: usize, y: usize| tensor[y * width + x] < 0.3; // the bars have 0.45
        let columns: Vec<_> = (0..width).filter(|x| dark(*x, height / 2)).collect();
        let lines: Vec<_> = (0..height).filter(|y| dark(width / 2, *y)).collect();
        let found = |first: &[usize], last: usize| (first[0] as f32, (last + 1) as f32);
        let (x1, x2) = found(&columns, columns[columns.len() - 1]);
        let (y1, y2) = found(&lines, lines[lines.len() - 1]);
        let candidate = ScoredBox {
            x1,
            y1,
            x2,
            y2,
            score: 0.5,
            class: 1,
            row: 7,
        };
        coarse.found.extend([
            candidate,
            ScoredBox {
                x2: x1 + 4.0,
                y2: y1 + 4.0,
                ..candidate
            },
        ]);
        let mut merged = Vec::new();
        assert_eq!(coarse.merge_into(&mut merged, 100), 1);
        let c = merged[0];
        assert_eq!((c.row, c.class), (107, 1));
        for (got, want) in [(c.x1, 104.0), (c.x2, 312.0), (c.y1, 80.0), (c.y2, 240.0)] {
            assert!((got - want).abs() < 3.5, "{got} {want}");
        }
    }
}
