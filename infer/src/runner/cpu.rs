//! On the CPU: the same threads make the tensor and run the model, one picture after the other; the model runs on the second
//! size while it runs on the first.

use super::coarse::Coarse;
use super::contract::{Output, Picture, Runner};
use crate::backend::{CpuBackend, Input, Unusable};
use crate::decode::{MOST_CANDIDATES, decode};
use crate::error::InferError;
use crate::model::{Facts, sizes};
use crate::nms::{self, ScoredBox};
use crate::preprocess::{Letterbox, Luma, Preprocessor, Target};
use hanja_ring::now_ns;
use hanja_stage::config::InferConfig;

/// A backend behind the preprocessor. Buffers are kept: after the first picture of a size, our own code allocates nothing.
#[derive(Debug)]
pub(crate) struct CpuRunner {
    backend: Box<dyn CpuBackend>,
    preprocessor: Preprocessor,
    /// Where the picture lies in the tensor.
    letterbox: Option<Letterbox>,
    /// The second input, for a model that wants one.
    coarse: Option<Coarse>,
    conf: f32,
}

impl CpuRunner {
    /// `load` loads the model; its argument is true when it does so once more, for the second size.
    pub(crate) fn load(
        config: &InferConfig,
        load: impl Fn(bool) -> Result<Box<dyn CpuBackend>, Unusable>,
    ) -> Result<Self, Unusable> {
        let mut runner = Self::new(load(false)?, config);
        let facts = runner.backend.facts();
        let size = sizes::second(config, facts.names.as_deref());
        // A file of fixed size cannot run on a second one.
        if size > 0 && facts.fixed.is_none() {
            runner.coarse = Some(Coarse::new(load(true)?, size));
        }
        Ok(runner)
    }

    /// Without a second size.
    pub(crate) fn new(backend: Box<dyn CpuBackend>, config: &InferConfig) -> Self {
        let target = Target::of(backend.facts(), config.size);
        Self {
            backend,
            preprocessor: Preprocessor::new(target),
            letterbox: None,
            coarse: None,
            conf: InferConfig::least_score(false),
        }
    }

    /// Runs the model on both sizes of the picture that was prepared last. Fills `candidates` with those of the first size;
    /// returns rows and columns of its output, and how many rows were above the threshold.
    fn infer(
        &mut self,
        candidates: &mut Vec<ScoredBox>,
    ) -> Result<(usize, usize, u32), InferError> {
        let (height, width) = self
            .letterbox
            .map_or((0, 0), |l| (l.net_height, l.net_width));
        let input = Input {
            data: self.preprocessor.tensor(),
            height,
            width,
        };
        let conf = self.conf;
        let mut second = Ok(());
        let predictions = match &mut self.coarse {
            Some(coarse) => {
                let mut run = || second = coarse.infer(input, conf);
                self.backend.infer_beside(input, &mut run)?
            }
            None => self.backend.infer(input)?,
        };
        let (rows, columns) = (predictions.rows, predictions.columns);
        let total = decode(predictions, conf, candidates);
        second.map(|()| (rows, columns, total))
    }
}

impl Runner for CpuRunner {
    fn set_conf(&mut self, conf: f32) {
        self.conf = conf;
    }

    fn kind(&self) -> hanja_record::Backend {
        self.backend.kind()
    }

    fn describe(&self) -> String {
        self.backend.describe()
    }

    fn facts(&self) -> &Facts {
        self.backend.facts()
    }

    fn keep_luma(&mut self) {
        self.preprocessor.keep_luma();
    }

    fn luma(&self) -> Option<&Luma> {
        self.preprocessor.luma()
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
        self.letterbox = Some(letterbox);
        Ok(letterbox)
        // The picture is released here: the tensor holds what is needed of it.
    }

    fn is_done(&mut self) -> Result<bool, InferError> {
        Ok(true) // `finish` does all of the work itself
    }

    fn finish(&mut self, candidates: &mut Vec<ScoredBox>) -> Result<Output, InferError> {
        let begun = Some(now_ns());
        let (mut rows, columns, mut total) = self.infer(candidates)?;
        let inferred = now_ns();
        if let Some(coarse) = &self.coarse {
            total += coarse.merge_into(candidates, rows as u32);
            rows += coarse.rows();
            nms::sort(candidates);
            candidates.truncate(MOST_CANDIDATES);
        }
        Ok(Output {
            rows,
            columns,
            total,
            begun,
            inferred,
        })
    }

    fn bare_loop(&mut self, runs: usize) -> Result<Vec<u64>, InferError> {
        let (mut times, mut candidates) = (Vec::with_capacity(runs), Vec::new());
        for _ in 0..runs {
            let started = now_ns();
            self.infer(&mut candidates)?;
            times.push(now_ns() - started);
        }
        Ok(times)
    }
}
