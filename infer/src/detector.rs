//! One picture in, detections out: the code path of the stage, of `hanja detect` and of the evaluation.

use crate::backend::rten::Bytes;
use crate::backend::{Backend, Input, PassedOver, RtenBackend, choose};
use crate::decode::decode;
use crate::error::InferError;
use crate::nms::{Candidate, suppress};
use crate::preprocess::{Letterbox, Preprocessor, Target};
use hanja_common::clock::now_ns;
use hanja_common::config::InferConfig;
use hanja_common::record::{self, Detection, FrameRef, MAX_DETECTIONS, PixelFormat};
use std::fmt;

/// The weights inside the executable, so that one file runs.
static EMBEDDED: &[u8] = include_bytes!("../../model/weights/hanja-pico.onnx");

/// Facts of the loaded model, in words with `Display`.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// File, or `embedded hanja-pico`.
    pub name: String,
    /// First eight bytes of a hash of the file (FNV-1a); stands in every record.
    pub id: u64,
    /// Class names.
    pub names: Vec<String>,
    /// Model input for a 640x480 picture, width and height.
    pub input: (usize, usize),
    /// What computes.
    pub backend: record::Backend,
    /// Better backends that were not taken, and why.
    pub passed_over: Vec<(&'static str, &'static str)>,
}

impl fmt::Display for ModelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = self.input;
        let classes = self.names.len();
        write!(
            f,
            "{} ({:016x}), {classes} classes, {w}x{h}, {}",
            self.name,
            self.id,
            self.backend.name()
        )
    }
}

/// What was found in one picture.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Best first, in pixels of the picture.
    pub detections: Vec<Detection>,
    /// Boxes above the threshold before suppression.
    pub candidates: u32,
    /// Boxes removed by suppression.
    pub suppressed: u32,
    /// Boxes beyond a bound.
    pub capped: u32,
    /// Where the time went; only [`Detector::detect`] fills it, the stage stamps its own records.
    pub steps: Steps,
}

/// Nanoseconds of the steps of one [`Detector::detect`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// JPEG decoding, colour, letterbox.
    pub preprocess: u64,
    /// The backend, and the decoding of its output.
    pub inference: u64,
    /// Suppression.
    pub postprocess: u64,
}

/// A loaded model with everything around it. Buffers are kept: after the first picture of a size, nothing of ours is
/// allocated.
#[derive(Debug)]
pub struct Detector {
    backend: Box<dyn Backend>,
    preprocessor: Preprocessor,
    info: ModelInfo,
    letterbox: Option<Letterbox>,
    conf: f32,
    iou: f32,
    candidates: Vec<Candidate>,
    kept: Vec<Candidate>,
    found: Found,
}

impl Detector {
    /// Loads the configured model and runs it once, so that a bad one is refused here and the first picture is not
    /// slower than the rest.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn load(config: &InferConfig) -> Result<Self, InferError> {
        let passed_over = choose(&config.backend)?;
        let (name, bytes) = match &config.model {
            None => ("embedded hanja-pico".to_owned(), Bytes::Static(EMBEDDED)),
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|source| InferError::Read {
                    path: path.clone(),
                    source,
                })?;
                (path.display().to_string(), Bytes::Owned(bytes))
            }
        };
        let id = fnv1a(match &bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Static(bytes) => bytes,
        });
        let backend = RtenBackend::load(&name, bytes, config.threads)?;
        Self::with_backend(Box::new(backend), config, name, id, &passed_over)
    }

    fn with_backend(
        backend: Box<dyn Backend>,
        config: &InferConfig,
        name: String,
        id: u64,
        passed_over: &[PassedOver],
    ) -> Result<Self, InferError> {
        let facts = backend.facts();
        let target = match facts.fixed {
            Some((height, width)) => Target::Fixed {
                width: width as u32,
                height: height as u32,
            },
            None => {
                let stride = facts.stride as u32;
                Target::LongSide {
                    size: config.size.next_multiple_of(stride),
                    stride,
                }
            }
        };
        let probe = Letterbox::new(640, 480, target);
        let info = ModelInfo {
            name,
            id,
            names: facts.names.clone().unwrap_or_default(),
            input: (probe.net_width, probe.net_height),
            backend: backend.kind(),
            passed_over: passed_over.iter().map(|p| (p.name, p.reason)).collect(),
        };
        let mut detector = Self {
            backend,
            preprocessor: Preprocessor::new(target),
            info,
            letterbox: None,
            conf: config.conf,
            iou: config.iou,
            candidates: Vec::new(),
            kept: Vec::new(),
            found: Found::default(),
        };
        detector.warm_up()?;
        Ok(detector)
    }

    /// Runs the model on grey, and takes the number of classes from its output.
    fn warm_up(&mut self) -> Result<(), InferError> {
        let grey = vec![128; 640 * 480];
        self.prepare(&FrameRef {
            format: PixelFormat::Grey,
            width: 640,
            height: 480,
            stride: 640,
            bytes: &grey,
        })?;
        let columns = self.run_model()?;
        let classes = columns - 5;
        if self.info.names.len() != classes {
            if !self.info.names.is_empty() {
                return Err(InferError::NotYolo {
                    model: self.info.name.clone(),
                    reason: format!(
                        "its output has {columns} columns, but 5 + {} classes are named in its metadata",
                        self.info.names.len()
                    ),
                });
            }
            self.info.names = (0..classes).map(|c| format!("class {c}")).collect();
        }
        Ok(())
    }

    /// Facts of the model.
    #[must_use]
    pub fn model_info(&self) -> &ModelInfo {
        &self.info
    }

    /// Finds what is in a picture.
    ///
    /// # Errors
    /// A picture that cannot be used, or a backend that fails.
    pub fn detect(&mut self, frame: &FrameRef<'_>) -> Result<&Found, InferError> {
        let started = now_ns();
        let size = self.prepare(frame)?;
        let prepared = now_ns();
        self.run_model()?;
        let inferred = now_ns();
        self.collect(size);
        self.found.steps = Steps {
            preprocess: prepared - started,
            inference: inferred - prepared,
            postprocess: now_ns() - inferred,
        };
        Ok(&self.found)
    }

    /// Step 1: fills the input tensor; the frame's bytes are not needed after it.
    pub(crate) fn prepare(&mut self, frame: &FrameRef<'_>) -> Result<(u32, u32), InferError> {
        let letterbox = self.preprocessor.run(frame)?;
        self.letterbox = Some(letterbox);
        Ok(frame_size(frame, self.letterbox))
    }

    /// Step 2: runs the model and takes the candidates from its output; returns the output's number of columns.
    pub(crate) fn run_model(&mut self) -> Result<usize, InferError> {
        let (height, width) = self
            .letterbox
            .map_or((0, 0), |l| (l.net_height, l.net_width));
        let input = Input {
            data: self.preprocessor.tensor(),
            height,
            width,
        };
        let predictions = self.backend.infer(input)?;
        let columns = predictions.columns;
        self.found.candidates = decode(predictions, self.conf, &mut self.candidates);
        Ok(columns)
    }

    /// Step 3: suppression, and boxes back into the picture of `size`.
    pub(crate) fn collect(&mut self, size: (u32, u32)) -> &Found {
        let (suppressed, capped) =
            suppress(&self.candidates, self.iou, MAX_DETECTIONS, &mut self.kept);
        let found = &mut self.found;
        found.suppressed = suppressed;
        found.capped = capped + found.candidates - self.candidates.len() as u32;
        found.detections.clear();
        let (right, bottom) = (size.0 as f32, size.1 as f32);
        for c in &self.kept {
            let Some(letterbox) = self.letterbox else {
                continue;
            };
            let (x1, y1) = letterbox.source_point(c.x1, c.y1);
            let (x2, y2) = letterbox.source_point(c.x2, c.y2);
            let d = Detection {
                x1: x1.clamp(0.0, right),
                y1: y1.clamp(0.0, bottom),
                x2: x2.clamp(0.0, right),
                y2: y2.clamp(0.0, bottom),
                score: c.score,
                class: c.class,
                ..Detection::default()
            };
            if d.x1 < d.x2 && d.y1 < d.y2 {
                found.detections.push(d);
            }
        }
        found
    }

    /// The backend alone, `runs` times on one grey input of the size for a `width` x `height` picture; nanoseconds
    /// of each run. The yardstick for what the pipeline costs.
    ///
    /// # Errors
    /// A backend that fails.
    pub fn bare_loop(
        &mut self,
        width: u32,
        height: u32,
        runs: usize,
    ) -> Result<Vec<u64>, InferError> {
        let grey = vec![128; width as usize * height as usize];
        self.prepare(&FrameRef {
            format: PixelFormat::Grey,
            width,
            height,
            stride: width,
            bytes: &grey,
        })?;
        let (height, width) = self
            .letterbox
            .map_or((0, 0), |l| (l.net_height, l.net_width));
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let started = now_ns();
            self.backend.infer(Input {
                data: self.preprocessor.tensor(),
                height,
                width,
            })?;
            times.push(now_ns() - started);
        }
        Ok(times)
    }
}

/// A JPEG's own size, if its metadata does not say: the letterbox knows it.
fn frame_size(frame: &FrameRef<'_>, letterbox: Option<Letterbox>) -> (u32, u32) {
    let of = |l: Letterbox| {
        let side = |inside: usize, scale: f32| (inside as f32 / scale).round() as u32;
        (side(l.width, l.scale_x), side(l.height, l.scale_y))
    };
    letterbox.map_or((frame.width, frame.height), of)
}

/// FNV-1a, 64 bits: tells models apart, defends against nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
