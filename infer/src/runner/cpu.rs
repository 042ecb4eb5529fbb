//! On the CPU: the tensor is made and the model run by the same threads, one picture after the other.

use super::{Output, Picture, Runner};
use crate::backend::{Backend, Facts, Input};
use crate::decode::decode;
use crate::error::InferError;
use crate::nms::Candidate;
use crate::preprocess::{Letterbox, Preprocessor, Target};
use hanja_common::clock::now_ns;
use hanja_common::config::InferConfig;
use hanja_common::record;

/// A backend behind the preprocessor. Buffers are kept: after the first picture of a size, nothing of ours is allocated.
#[derive(Debug)]
pub(crate) struct CpuRunner {
    backend: Box<dyn Backend>,
    preprocessor: Preprocessor,
    /// Height and width of the tensor.
    input: (usize, usize),
    conf: f32,
}

impl CpuRunner {
    pub(crate) fn new(backend: Box<dyn Backend>, config: &InferConfig) -> Self {
        let target = Target::of(backend.facts(), config.size);
        Self {
            backend,
            preprocessor: Preprocessor::new(target),
            input: (0, 0),
            conf: config.conf,
        }
    }

    fn tensor(preprocessor: &Preprocessor, (height, width): (usize, usize)) -> Input<'_> {
        Input {
            data: preprocessor.tensor(),
            height,
            width,
        }
    }
}

impl Runner for CpuRunner {
    fn set_conf(&mut self, conf: f32) {
        self.conf = conf;
    }

    fn kind(&self) -> record::Backend {
        self.backend.kind()
    }

    fn describe(&self) -> String {
        self.backend.describe()
    }

    fn facts(&self) -> &Facts {
        self.backend.facts()
    }

    fn depth(&self) -> usize {
        1
    }

    fn submit(&mut self, picture: Picture<'_>) -> Result<Letterbox, InferError> {
        let frame = picture.frame()?;
        let mut result = None;
        let preprocessor = &mut self.preprocessor;
        self.backend
            .install(&mut || result = Some(preprocessor.run(&frame)));
        let letterbox = result.ok_or_else(|| InferError::Run {
            backend: self.backend.kind().name(),
            reason: "its threads are gone".into(),
        })??;
        self.input = (letterbox.net_height, letterbox.net_width);
        Ok(letterbox)
        // The picture is let go here: the tensor holds it now.
    }

    fn is_done(&mut self) -> Result<bool, InferError> {
        Ok(true) // whoever asks does the work
    }

    fn finish(&mut self, candidates: &mut Vec<Candidate>) -> Result<Output, InferError> {
        let input = Self::tensor(&self.preprocessor, self.input);
        let begun = Some(now_ns());
        let predictions = self.backend.infer(input)?;
        let inferred = now_ns();
        let (rows, columns) = (predictions.rows, predictions.columns);
        let total = decode(predictions, self.conf, candidates);
        Ok(Output {
            rows,
            columns,
            total,
            begun,
            inferred,
        })
    }

    fn bare_loop(&mut self, runs: usize) -> Result<Vec<u64>, InferError> {
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let started = now_ns();
            self.backend
                .infer(Self::tensor(&self.preprocessor, self.input))?;
            times.push(now_ns() - started);
        }
        Ok(times)
    }
}
