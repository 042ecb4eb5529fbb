//! On the CPU: the tensor is made and the model run by the same threads, one picture after the other; its second size
//! is looked at beside the first.

use super::coarse::{self, Coarse};
use super::{Output, Picture, Runner};
use crate::backend::{Backend, Facts, Input, Reason};
use crate::decode::{MOST_CANDIDATES, decode};
use crate::error::InferError;
use crate::nms::{self, Candidate};
use crate::preprocess::{Letterbox, Luma, Preprocessor, Target};
use hanja_ring::now_ns;
use hanja_stage::config::InferConfig;

/// A backend behind the preprocessor. Buffers are kept: after the first picture of a size, nothing of ours is allocated.
#[derive(Debug)]
pub(crate) struct CpuRunner {
    backend: Box<dyn Backend>,
    preprocessor: Preprocessor,
    /// Where the picture lies in the tensor.
    letterbox: Option<Letterbox>,
    /// The second input, for a model that wants one.
    coarse: Option<Coarse>,
    conf: f32,
}

impl CpuRunner {
    /// `load` loads the model; it is told whether that is once more, for the second size.
    pub(crate) fn load(
        config: &InferConfig,
        load: impl Fn(bool) -> Result<Box<dyn Backend>, Reason>,
    ) -> Result<Self, Reason> {
        let mut runner = Self::new(load(false)?, config);
        let facts = runner.backend.facts();
        let size = coarse::wanted(config, facts.names.as_deref());
        // A file of fixed size has no second one.
        if size > 0 && facts.fixed.is_none() {
            runner.coarse = Some(Coarse::new(load(true)?, size));
        }
        Ok(runner)
    }

    /// Without a second size.
    pub(crate) fn new(backend: Box<dyn Backend>, config: &InferConfig) -> Self {
        let target = Target::of(backend.facts(), config.size);
        Self {
            backend,
            preprocessor: Preprocessor::new(target),
            letterbox: None,
            coarse: None,
            conf: InferConfig::least_score(false),
        }
    }

    /// Both sizes of the picture that was prepared last, its candidates at the first one into `candidates`: rows and
    /// columns of that one's output, and the number of candidates.
    fn look(&mut self, candidates: &mut Vec<Candidate>) -> Result<(usize, usize, u32), InferError> {
        let (height, width) = self
            .letterbox
            .map_or((0, 0), |l| (l.net_height, l.net_width));
        let input = Input {
            data: self.preprocessor.tensor(),
            height,
            width,
        };
        let conf = self.conf;
        let mut coarsely = Ok(());
        let predictions = match &mut self.coarse {
            Some(coarse) => {
                let mut look = || coarsely = coarse.look(input, conf);
                self.backend.infer_beside(input, &mut look)?
            }
            None => self.backend.infer(input)?,
        };
        let (rows, columns) = (predictions.rows, predictions.columns);
        let total = decode(predictions, conf, candidates);
        coarsely.map(|()| (rows, columns, total))
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
        // The picture is let go here: the tensor holds it now.
    }

    fn is_done(&mut self) -> Result<bool, InferError> {
        Ok(true) // whoever asks does the work
    }

    fn finish(&mut self, candidates: &mut Vec<Candidate>) -> Result<Output, InferError> {
        let begun = Some(now_ns());
        let (mut rows, columns, mut total) = self.look(candidates)?;
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
            self.look(&mut candidates)?;
            times.push(now_ns() - started);
        }
        Ok(times)
    }
}
