//! One picture in, detections out: the code path of the stage, of `hanja detect` and of the evaluation.

use crate::backend::{self, Backend, Input, Reason};
use crate::decode::decode;
use crate::error::InferError;
use crate::model::ModelFile;
use crate::nms::{Candidate, suppress};
use crate::preprocess::{Letterbox, Preprocessor, Target};
use hanja_common::clock::now_ns;
use hanja_common::config::InferConfig;
use hanja_common::record::{self, Detection, FrameRef, MAX_DETECTIONS, PixelFormat};
use std::fmt;

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
    /// The same in words, with a version where there is one.
    pub backend_words: String,
    /// Better backends that were not taken, and why.
    pub passed_over: Vec<(&'static str, String)>,
}

impl ModelInfo {
    /// The backend, and why the better ones were not taken: one line for records and logs.
    #[must_use]
    pub fn choice(&self) -> String {
        let mut words = self.backend_words.clone();
        for (name, reason) in &self.passed_over {
            words += &format!("; not {name}: {reason}");
        }
        words
    }
}

impl fmt::Display for ModelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = self.input;
        let classes = self.names.len();
        write!(
            f,
            "{} ({:016x}), {classes} classes, {w}x{h}, {}",
            self.name, self.id, self.backend_words
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
    /// Boxes removed by suppression, or outside of the picture. Detections, suppressed and capped are all candidates.
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
    letterbox: Letterbox,
    conf: f32,
    iou: f32,
    candidates: Vec<Candidate>,
    kept: Vec<Candidate>,
    found: Found,
}

impl Detector {
    /// Loads the configured model into the best backend that works, and runs it once, so that a bad one is refused here
    /// and the first picture is not slower than the rest.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn load(config: &InferConfig) -> Result<Self, InferError> {
        let wanted = backend::wanted(&config.backend)?;
        let file = ModelFile::open(config.model.as_deref())?;
        let (mut detector, passed_over) = backend::first(wanted, |candidate| {
            let backend = (candidate.load)(&file, config)?;
            Self::with_backend(backend, config, &file).map_err(Reason::Model)
        })?;
        detector.info.passed_over = passed_over;
        Ok(detector)
    }

    fn with_backend(
        backend: Box<dyn Backend>,
        config: &InferConfig,
        file: &ModelFile,
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
            name: file.name.clone(),
            id: file.id,
            names: facts.names.clone().unwrap_or_default(),
            input: (probe.net_width, probe.net_height),
            backend: backend.kind(),
            backend_words: backend.describe(),
            passed_over: Vec::new(),
        };
        let mut detector = Self {
            backend,
            preprocessor: Preprocessor::new(target),
            info,
            letterbox: probe,
            conf: config.conf,
            iou: config.iou,
            candidates: Vec::new(),
            kept: Vec::new(),
            found: Found::default(),
        };
        detector.warm_up()?;
        Ok(detector)
    }

    /// Runs the model on grey, checks the shape of its output, and takes the number of classes from there.
    fn warm_up(&mut self) -> Result<(), InferError> {
        let letterbox = self.prepare_grey(640, 480)?;
        let (width, height) = (letterbox.net_width, letterbox.net_height);
        let (rows, columns) = self.run_model().map_err(|e| match e {
            // Here it is the model's fault, later it would be the backend's.
            InferError::Run { reason, .. } => InferError::Load {
                model: self.info.name.clone(),
                reason: format!("it does not run on {width}x{height} pixels: {reason}"),
            },
            e => e,
        })?;
        let not_yolo = |reason| {
            let model = self.info.name.clone();
            Err(InferError::NotYolo { model, reason })
        };
        // Three anchors in each cell of at least the strides 16 and 32.
        let fewest = 3 * 5 * (width / 32) * (height / 32);
        if rows < fewest {
            return not_yolo(format!(
                "its output has {rows} rows for {width}x{height} pixels, at least {fewest} are expected; export it without --nms"
            ));
        }
        let (classes, named) = (columns - 5, self.info.names.len());
        if named == 0 {
            self.info.names = (0..classes).map(|c| format!("class {c}")).collect();
        } else if named != classes {
            return not_yolo(format!(
                "its output has {columns} columns, but 5 + {named} classes are named in its metadata"
            ));
        }
        Ok(())
    }

    /// Fills the input tensor with grey as for a picture of this size.
    fn prepare_grey(&mut self, width: u32, height: u32) -> Result<Letterbox, InferError> {
        let grey = vec![128; width as usize * height as usize];
        let (format, stride) = (PixelFormat::Grey, width);
        self.prepare(&FrameRef {
            format,
            width,
            height,
            stride,
            bytes: &grey,
        })
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
        self.prepare(frame)?;
        let prepared = now_ns();
        self.run_model()?;
        let inferred = now_ns();
        self.collect();
        self.found.steps = Steps {
            preprocess: prepared - started,
            inference: inferred - prepared,
            postprocess: now_ns() - inferred,
        };
        Ok(&self.found)
    }

    /// Step 1: fills the input tensor; the frame's bytes are not needed after it.
    pub(crate) fn prepare(&mut self, frame: &FrameRef<'_>) -> Result<Letterbox, InferError> {
        let mut result = None;
        let preprocessor = &mut self.preprocessor;
        self.backend
            .install(&mut || result = Some(preprocessor.run(frame)));
        if let Some(letterbox) = result.transpose()? {
            self.letterbox = letterbox;
        }
        Ok(self.letterbox)
    }

    /// Step 2: runs the model and takes the candidates from its output; returns the output's rows and columns.
    pub(crate) fn run_model(&mut self) -> Result<(usize, usize), InferError> {
        let predictions = self.backend.infer(Input {
            data: self.preprocessor.tensor(),
            height: self.letterbox.net_height,
            width: self.letterbox.net_width,
        })?;
        let shape = (predictions.rows, predictions.columns);
        self.found.candidates = decode(predictions, self.conf, &mut self.candidates);
        Ok(shape)
    }

    /// Step 3: suppression, and boxes back into the picture.
    pub(crate) fn collect(&mut self) -> &Found {
        let (suppressed, capped) =
            suppress(&self.candidates, self.iou, MAX_DETECTIONS, &mut self.kept);
        let found = &mut self.found;
        found.suppressed = suppressed;
        found.capped = capped + found.candidates - self.candidates.len() as u32;
        found.detections.clear();
        let (right, bottom) = self.letterbox.source;
        let (right, bottom) = (right as f32, bottom as f32);
        for c in &self.kept {
            let (x1, y1) = self.letterbox.source_point(c.x1, c.y1);
            let (x2, y2) = self.letterbox.source_point(c.x2, c.y2);
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
            } else {
                found.suppressed += 1; // in the bars, beside the picture
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
        let letterbox = self.prepare_grey(width, height)?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let started = now_ns();
            self.backend.infer(Input {
                data: self.preprocessor.tensor(),
                height: letterbox.net_height,
                width: letterbox.net_width,
            })?;
            times.push(now_ns() - started);
        }
        Ok(times)
    }
}

/// The backend under test: `HANJA_TEST_BACKEND=onnxruntime` puts another one through the tests of detector and stage,
/// see `ci/onnxruntime.sh`.
#[cfg(test)]
pub(crate) fn test_backend() -> String {
    std::env::var("HANJA_TEST_BACKEND").unwrap_or_else(|_| "rten".into())
}

#[cfg(test)]
mod tests;
