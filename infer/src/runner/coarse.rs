//! The second, smaller input of a picture: what fills the frame is of no size that the network learned at the first one,
//! and of a usual size at this. Made from the first input; what is found is given in that one's pixels.
//!
//! It is looked at beside the first one, on threads that that one leaves idle: the layers of so small an input are too short to be
//! shared between threads, and those of the large one leave gaps on every core but one.

use crate::backend::{Backend, Input};
use crate::decode::decode;
use crate::error::InferError;
use crate::names;
use crate::nms::Candidate;
use crate::preprocess::{BARS, Taps};
use hanja_stage::config::InferConfig;

/// Share of the first input's long side from which a box of the second counts. Smaller ones are for the first to find:
/// it has ten times the pixels for them.
pub(crate) const LEAST: f32 = 0.2;
/// Share of its own length by which the picture may be made smaller to spare a row of cells.
const SPARED: f32 = 0.1;
/// Long side for the ten numerals, where nothing else is said.
const USUAL: u32 = 128;

/// Long side of the second input that a configuration asks for, of a model with these class names; 0: none.
pub(crate) fn wanted(config: &InferConfig, names: Option<&[String]>) -> u32 {
    config.coarse_size.unwrap_or_else(|| {
        // Ours have learned characters of every size. To a small input a second one has nothing to add.
        let ours = names.is_some_and(names::are_the_numerals);
        if ours && 2 * USUAL <= config.size {
            USUAL
        } else {
            0
        }
    })
}

/// The model once more, and its input; keeps buffers and weights of it until the geometry changes.
#[derive(Debug)]
pub(crate) struct Coarse {
    /// The model once more.
    backend: Box<dyn Backend>,
    shrink: Shrink,
    /// What was found in the last picture, in the pixels of the second input.
    found: Vec<Candidate>,
    /// Rows that the model gave.
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
    across: Taps,
    down: Taps,
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
            across: Taps::new(from.0, width),
            down: Taps::new(from.1, height),
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
    /// For a long side of about `size` pixels. `backend` has the model.
    pub(crate) fn new(backend: Box<dyn Backend>, size: u32) -> Self {
        let shrink = Shrink::new(size, backend.facts().stride);
        Self {
            backend,
            shrink,
            found: Vec::new(),
            rows: 0,
        }
    }

    /// Looks at the first input once more, smaller; what has at least the score `conf` is kept for
    /// [`merge_into`](Self::merge_into).
    pub(crate) fn look(&mut self, first: Input<'_>, conf: f32) -> Result<(), InferError> {
        let predictions = self.backend.infer(self.shrink.run(first))?;
        self.rows = predictions.rows;
        decode(predictions, conf, &mut self.found);
        Ok(())
    }

    /// Rows that the model gave for the last picture.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds to `candidates` those large enough, in the first input's pixels; their rows follow its `rows`. Gives their
    /// number.
    pub(crate) fn merge_into(&self, candidates: &mut Vec<Candidate>, rows: u32) -> u32 {
        let Some(plan) = &self.shrink.plan else {
            return 0;
        };
        let least = LEAST * plan.from.0.max(plan.from.1) as f32;
        let (sx, sy) = plan.scale;
        let before = candidates.len();
        candidates.extend(self.found.iter().filter_map(|c| {
            let scaled = Candidate {
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
        let candidate = Candidate {
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
            Candidate {
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
