//! One picture in, detections out: the code path of the stage, of `hanja detect` and of the evaluation.

use crate::error::InferError;
use crate::model::{ModelError, ModelFile, names};
use crate::nms::{self, ScoredBox, Suppressor};
use crate::preprocess::{Letterbox, Target};
use crate::runner::{Output, Picture, Runner};
use crate::select::PassedOver;
use crate::verifier::{self, Verifier};
use hanja_record::{Detection, FrameRef, MAX_DETECTIONS, PixelFormat};
use hanja_ring::now_ns;
use hanja_stage::config::InferConfig;
use std::collections::VecDeque;
use std::fmt;

/// Facts of the loaded model; `Display` makes one line of them.
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
    /// The backend that runs it.
    pub backend: hanja_record::Backend,
    /// The backend's name for people, with a version where there is one.
    pub backend_description: String,
    /// Better backends that were not taken, and why.
    pub passed_over: Vec<(&'static str, String)>,
}

impl ModelInfo {
    /// The backend, and why the better ones were not taken: one line for records and logs.
    #[must_use]
    pub fn choice(&self) -> String {
        let mut description = self.backend_description.clone();
        for (name, reason) in &self.passed_over {
            description += &format!("; not {name}: {reason}");
        }
        description
    }
}

impl fmt::Display for ModelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = self.input;
        let classes = self.names.len();
        write!(
            f,
            "{} ({:016x}), {classes} classes, {w}x{h}, {}",
            self.name, self.id, self.backend_description
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
    /// Boxes removed by suppression or by the second look, or outside of the picture. Detections, suppressed and capped
    /// are all candidates.
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
    /// The backend.
    pub inference: u64,
    /// The decoding of its output, and suppression.
    pub postprocess: u64,
}

/// A loaded model with everything around it.
#[derive(Debug)]
pub struct Detector {
    runner: Box<dyn Runner>,
    info: ModelInfo,
    /// Those of the pictures under way, oldest first.
    letterboxes: VecDeque<Letterbox>,
    /// That of the picture that `candidates` are of.
    letterbox: Letterbox,
    /// The second look at what was found; `None` for a model with classes that it does not know.
    verifier: Option<Verifier>,
    conf: f32,
    iou: f32,
    /// Boxes suppress each other whatever their classes.
    agnostic: bool,
    candidates: Vec<ScoredBox>,
    suppressor: Suppressor,
    kept: Vec<ScoredBox>,
    found: Found,
}

impl Detector {
    /// A detector around a runner that has the model of `file` loaded. Runs it once.
    pub(crate) fn with_runner(
        runner: Box<dyn Runner>,
        config: &InferConfig,
        file: &ModelFile,
    ) -> Result<Self, InferError> {
        let facts = runner.facts();
        let probe = Letterbox::new(640, 480, Target::of(facts, config.size));
        let info = ModelInfo {
            name: file.name.clone(),
            id: file.id,
            names: facts.names.clone().unwrap_or_default(),
            input: (probe.net_width, probe.net_height),
            backend: runner.kind(),
            backend_description: runner.describe(),
            passed_over: Vec::new(),
        };
        let mut detector = Self {
            runner,
            info,
            letterboxes: VecDeque::new(),
            letterbox: probe,
            verifier: None,
            conf: 0.0,
            iou: config.iou,
            agnostic: false,
            candidates: Vec::new(),
            suppressor: Suppressor::default(),
            kept: Vec::new(),
            found: Found::default(),
        };
        detector.warm_up()?;
        let numerals = names::are_the_numerals(&detector.info.names);
        // A person may sit in a car, but there is no 二 inside a 三.
        detector.agnostic = config.agnostic.unwrap_or(numerals);
        if config.verify && numerals {
            let mut verifier = Verifier::embedded(detector.info.backend, config.threads)?;
            verifier.reserve(MAX_DETECTIONS);
            detector.runner.keep_luma();
            detector.verifier = Some(verifier);
        }
        detector.set_thresholds(config.conf, config.iou);
        Ok(detector)
    }

    #[cfg(test)]
    pub(crate) fn wrapped(mut self, wrap: impl FnOnce(Box<dyn Runner>) -> Box<dyn Runner>) -> Self {
        self.runner = wrap(self.runner);
        self
    }

    /// The least score where none is configured.
    #[must_use]
    pub fn default_conf(&self) -> f32 {
        InferConfig::least_score(self.verifier.is_some())
    }

    /// Sets the thresholds from the next picture on; `None` is the default for this model.
    pub(crate) fn set_thresholds(&mut self, conf: Option<f32>, iou: f32) {
        let conf = conf.unwrap_or_else(|| self.default_conf());
        (self.conf, self.iou) = (conf, iou);
        // The runner also has to find boxes that the second look may raise to the threshold.
        let least = self.verifier.as_ref().map_or(conf, |v| v.least(conf));
        self.runner.set_conf(least);
    }

    /// Runs the model on grey, checks the shape of its output, and takes the number of classes from there.
    fn warm_up(&mut self) -> Result<(), InferError> {
        self.submit_grey(640, 480)?;
        let (width, height) = self.info.input;
        let on_the_cpu = self.info.backend != hanja_record::Backend::TensorRt;
        let output = self.infer().map_err(|e| match e {
            // On a CPU the first run fails because of the model, a later one because of the backend. A GPU can fail at any
            // time.
            InferError::Run { reason, .. } if on_the_cpu => ModelError::Load {
                model: self.info.name.clone(),
                reason: format!("it does not run on {width}x{height} pixels: {reason}"),
            }
            .into(),
            e => e,
        })?;
        let not_yolo = |reason| {
            let model = self.info.name.clone();
            Err(ModelError::NotYolo { model, reason }.into())
        };
        // Room for the most that there can be, so that no picture, however cluttered, allocates later.
        self.candidates.reserve(output.rows);
        self.kept.reserve(MAX_DETECTIONS);
        self.found.detections.reserve(MAX_DETECTIONS);
        self.letterboxes.reserve(self.runner.depth());
        // Three anchors in each cell of at least the strides 16 and 32.
        let fewest = 3 * 5 * (width / 32) * (height / 32);
        let rows = output.rows;
        if rows < fewest {
            return not_yolo(format!(
                "its output has {rows} rows for {width}x{height} pixels, at least {fewest} are expected; export it without --nms"
            ));
        }
        let (classes, named) = (output.columns - 5, self.info.names.len());
        self.suppressor.reserve(classes, MAX_DETECTIONS);
        if named == 0 {
            self.info.names = (0..classes).map(|c| format!("class {c}")).collect();
        } else if named != classes {
            return not_yolo(format!(
                "its output has {} columns, but 5 + {named} classes are named in its metadata",
                output.columns
            ));
        }
        Ok(())
    }

    /// Starts a grey picture of this size.
    fn submit_grey(&mut self, width: u32, height: u32) -> Result<(), InferError> {
        let grey = vec![128; width as usize * height as usize];
        let (format, stride) = (PixelFormat::Grey, width);
        self.submit(Picture::Bytes(FrameRef {
            format,
            width,
            height,
            stride,
            bytes: &grey,
        }))?;
        Ok(())
    }

    /// Facts of the model.
    #[must_use]
    pub fn model_info(&self) -> &ModelInfo {
        &self.info
    }

    /// Sets the better backends that were not taken, and why.
    pub(crate) fn set_passed_over(&mut self, passed_over: Vec<PassedOver>) {
        self.info.passed_over = passed_over;
    }

    /// Sets why this detector does not run on TensorRT at present.
    pub(crate) fn set_tensorrt_reason(&mut self, reason: String) {
        let name = hanja_record::Backend::TensorRt.name();
        let reason = reason.replace('\n', " ");
        match self.info.passed_over.iter_mut().find(|p| p.0 == name) {
            Some(known) => known.1 = reason,
            None => self.info.passed_over.push((name, reason)),
        }
    }

    /// Finds what is in a picture.
    ///
    /// # Errors
    /// A picture that cannot be used, or a backend that fails.
    pub fn detect(&mut self, frame: &FrameRef<'_>) -> Result<&Found, InferError> {
        let started = now_ns();
        self.submit(Picture::Bytes(*frame))?;
        let prepared = now_ns();
        let inferred = self.infer()?.inferred;
        self.postprocess(false)?;
        self.found.steps = Steps {
            preprocess: prepared - started,
            inference: inferred.saturating_sub(prepared),
            postprocess: now_ns().saturating_sub(inferred),
        };
        Ok(&self.found)
    }

    /// From the next picture on, keeps what [`crop`](Self::crop) needs.
    pub fn keep_for_crops(&mut self) {
        self.runner.keep_luma();
    }

    /// Writes what the second look sees of a box of the last picture into `out`: [`SIDE`](crate::SIDE) lines of as many grey
    /// pixels. Black if the picture was not kept.
    pub fn crop(&self, of: &Detection, out: &mut [u8]) {
        let mut values = vec![0.0; verifier::SIDE * verifier::SIDE];
        if let Some(luma) = self.runner.luma() {
            verifier::cut(luma, [of.x1, of.y1, of.x2, of.y2], &mut values);
        }
        for (out, value) in out.iter_mut().zip(values) {
            *out = (value + 0.5) as u8;
        }
    }

    /// How many pictures can be started before one has to be finished.
    pub(crate) fn room(&self) -> usize {
        self.runner.depth().saturating_sub(self.letterboxes.len())
    }

    /// Whether [`infer`](Self::infer) can begin its work at once, or has nothing left to do.
    pub(crate) fn is_done(&mut self) -> Result<bool, InferError> {
        self.runner.is_done()
    }

    /// Step 1: starts a picture; returns its own width and height.
    pub(crate) fn submit(&mut self, picture: Picture<'_>) -> Result<(u32, u32), InferError> {
        let letterbox = self.runner.submit(picture)?;
        self.letterboxes.push_back(letterbox);
        Ok(letterbox.source)
    }

    /// Step 2: the model's candidates for the oldest picture under way.
    pub(crate) fn infer(&mut self) -> Result<Output, InferError> {
        let output = self.runner.finish(&mut self.candidates)?;
        if let Some(letterbox) = self.letterboxes.pop_front() {
            self.letterbox = letterbox;
        }
        self.found.candidates = output.total;
        Ok(output)
    }

    /// Step 3, for one of a stream of pictures: suppression, the conversion of boxes to pixels of the picture, and the second
    /// look at them.
    pub(crate) fn collect(&mut self) -> Result<&Found, InferError> {
        self.postprocess(true)?;
        Ok(&self.found)
    }

    fn postprocess(&mut self, stream: bool) -> Result<(), InferError> {
        let most = MAX_DETECTIONS;
        let (_, capped) = (self.suppressor).keep(&self.candidates, self.iou, most, &mut self.kept);
        let found = &mut self.found;
        found.capped = capped + found.candidates - self.candidates.len() as u32;
        let letterbox = self.letterbox;
        // Boxes that lie in the bars, beside the picture, have no area left.
        self.kept.retain_mut(|c| {
            *c = in_source(&letterbox, c);
            c.x1 < c.x2 && c.y1 < c.y2
        });
        if let (Some(verifier), Some(luma)) = (&mut self.verifier, self.runner.luma()) {
            verifier.verify(luma, &mut self.kept, stream)?;
            self.kept.retain(|c| c.score >= self.conf);
            nms::sort(&mut self.kept);
        }
        if self.agnostic {
            nms::one_reading_each(&mut self.kept, self.iou);
        }
        found.detections.clear();
        found.detections.extend(self.kept.iter().map(|c| Detection {
            x1: c.x1,
            y1: c.y1,
            x2: c.x2,
            y2: c.y2,
            score: c.score,
            class: c.class,
            ..Detection::default()
        }));
        let kept = found.detections.len() as u32;
        found.suppressed = found.candidates - found.capped - kept;
        Ok(())
    }

    /// The networks alone, `runs` times on one grey input of the size for a `width` x `height` picture; nanoseconds
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
        self.submit_grey(width, height)?;
        self.infer()?;
        let mut times = self.runner.bare_loop(runs)?;
        if let Some(verifier) = &mut self.verifier {
            for time in &mut times {
                let started = now_ns();
                verifier.bare()?;
                *time += now_ns() - started;
            }
        }
        Ok(times)
    }
}

/// A box of the model's input in pixels of the picture, cut at its edges.
fn in_source(letterbox: &Letterbox, c: &ScoredBox) -> ScoredBox {
    let (right, bottom) = letterbox.source;
    let (right, bottom) = (right as f32, bottom as f32);
    let (x1, y1) = letterbox.source_point(c.x1, c.y1);
    let (x2, y2) = letterbox.source_point(c.x2, c.y2);
    ScoredBox {
        x1: x1.clamp(0.0, right),
        y1: y1.clamp(0.0, bottom),
        x2: x2.clamp(0.0, right),
        y2: y2.clamp(0.0, bottom),
        ..*c
    }
}

/// The backend under test: `HANJA_TEST_BACKEND=onnxruntime` puts another one through the tests of detector and stage,
/// see `ci/onnxruntime.sh`.
#[cfg(test)]
pub(crate) fn test_backend() -> String {
    std::env::var("HANJA_TEST_BACKEND").unwrap_or_else(|_| "rten".into())
}

#[cfg(test)]
pub(crate) mod tests;
