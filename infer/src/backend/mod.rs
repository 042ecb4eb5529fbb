//! What runs the model. One trait, so that the stage does not know which; chosen at run time, the best that works, with
//! the reason kept for each better one that does not: a fall-back is never silent.

pub(crate) mod contract;
pub(crate) mod onnxruntime;
pub(crate) mod rten;

use crate::engine::Job;
use crate::error::InferError;
use crate::model::ModelFile;
use crate::runner::{CpuRunner, Runner, TensorRtRunner};
use hanja_stage::config::InferConfig;
use onnxruntime::OnnxRuntimeBackend;
use rten::RtenBackend;
use std::fmt;

/// The model's input: one picture, planar RGB, `3 * height * width` values of 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// The model's output `[1, rows, columns]`: each row one anchor, (cx, cy, w, h) in input pixels, objectness, classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predictions<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// Height and width that the model's input is fixed to; `None`: any multiple of its stride.
pub(crate) type FixedSize = Option<(usize, usize)>;

/// Facts of a loaded model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) names: Option<Vec<String>>,
    pub(crate) stride: usize,
    pub(crate) fixed: FixedSize,
}

/// A loaded model on a device.
pub(crate) trait Backend: Send + fmt::Debug {
    /// Who it is, for records.
    fn kind(&self) -> hanja_record::Backend;

    /// Who it is, in words: with the version, where that can differ.
    fn describe(&self) -> String {
        self.kind().name().into()
    }

    /// What it found in the file.
    fn facts(&self) -> &Facts;

    /// Runs `work` on the threads that run the model, so that it may use them all and no others compete for the cores.
    fn install(&self, work: &mut (dyn FnMut() + Send));

    /// Runs the model. The result lives until the next call.
    fn infer(&mut self, input: Input<'_>) -> Result<Predictions<'_>, InferError>;

    /// As [`infer`](Self::infer), and `other` meanwhile, on threads of this backend: what the layers leave idle is its.
    /// Where there are none to share, one after the other.
    fn infer_beside(
        &mut self,
        input: Input<'_>,
        other: &mut (dyn FnMut() + Send),
    ) -> Result<Predictions<'_>, InferError> {
        other();
        self.infer(input)
    }
}

/// Why a backend does not run a model.
#[derive(Debug)]
pub(crate) enum Reason {
    /// It would, but its engine is not built yet.
    NotBuilt(Box<Job>),
    /// This version or machine does not have it; in words, with the remedy.
    Missing(String),
    /// It is there, and the model fails in it.
    Model(InferError),
}

impl Reason {
    /// In the words of an error that has its remedy in it.
    pub(crate) fn missing(error: impl fmt::Display) -> Self {
        Self::Missing(error.to_string())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt(job) => match &job.refused {
                Some(why) => write!(f, "its engine is refused, to be built anew: {why}"),
                None => f.write_str("its engine is not built yet, 'hanja engine build' does it"),
            },
            Self::Missing(words) => f.write_str(words),
            Self::Model(error) => error.fmt(f),
        }
    }
}

/// A backend with a model in it, or why not.
pub(crate) type Attempt = Result<Box<dyn Runner>, Reason>;

/// A backend that can be asked for.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    /// Loads the model into it.
    pub(crate) load: fn(&ModelFile, &InferConfig) -> Attempt,
}

/// Every backend, the best first: the order of `auto`.
pub(crate) static CANDIDATES: [Candidate; 3] = [
    Candidate {
        name: "tensorrt",
        load: |file, config| Ok(Box::new(TensorRtRunner::load(file, config)?)),
    },
    Candidate {
        name: "onnxruntime",
        load: |file, config| {
            let runner = CpuRunner::load(config, |once_more| {
                // Layers of a small input are too short to be shared between threads that sleep.
                let threads = if once_more { Some(1) } else { config.threads };
                Ok(Box::new(OnnxRuntimeBackend::load(file, threads)?))
            })?;
            Ok(Box::new(runner))
        },
    },
    Candidate {
        name: "rten",
        load: |file, config| {
            let threads = rten::threads(config.threads);
            let runner = CpuRunner::load(config, |_| {
                let backend = RtenBackend::load(file, threads.clone()).map_err(Reason::Model)?;
                Ok(Box::new(backend))
            })?;
            Ok(Box::new(runner))
        },
    },
];

/// A backend that would have been preferred, and why it was not taken, in words.
pub(crate) type PassedOver = (&'static str, String);

/// Those that a configuration asks for: all of them for `auto`.
pub(crate) fn wanted(backend: &str) -> Result<&'static [Candidate], InferError> {
    const ALL: &[Candidate] = &CANDIDATES;
    if backend == "auto" {
        return Ok(ALL);
    }
    let one = ALL.iter().find(|c| c.name == backend);
    one.map(std::slice::from_ref)
        .ok_or_else(|| InferError::Backend {
            name: backend.into(),
            reason: format!(
                "there is no backend of that name; there are auto, {}",
                ALL.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
            ),
        })
}

/// Those that run on the CPU, where nothing has to be built.
pub(crate) fn on_the_cpu() -> &'static [Candidate] {
    &CANDIDATES[1..]
}

/// What came of trying backends.
#[derive(Debug)]
pub(crate) struct Choice<T> {
    /// `None`: only because of `not_built`.
    pub(crate) found: Option<T>,
    pub(crate) passed_over: Vec<PassedOver>,
    /// What would make a better one possible.
    pub(crate) not_built: Option<Job>,
}

/// What `attempt` makes of the first candidate that it succeeds with, and those passed over. If it succeeds with none,
/// the error is of the last, which asks the least of the machine.
pub(crate) fn first<T>(
    candidates: &[Candidate],
    mut attempt: impl FnMut(&Candidate) -> Result<T, Reason>,
) -> Result<Choice<T>, InferError> {
    let mut choice = Choice {
        found: None,
        passed_over: Vec::new(),
        not_built: None,
    };
    let mut error = None;
    for candidate in candidates {
        let reason = match attempt(candidate) {
            Ok(found) => {
                choice.found = Some(found);
                return Ok(choice);
            }
            Err(reason) => reason,
        };
        // It goes into one line of a log.
        let words = reason.to_string().replace('\n', " ");
        tracing::debug!("backend {}: {words}", candidate.name);
        choice.passed_over.push((candidate.name, words));
        match reason {
            Reason::NotBuilt(job) => choice.not_built = Some(*job),
            Reason::Model(e) => error = Some(e),
            Reason::Missing(reason) => {
                let name = candidate.name.into();
                error = Some(InferError::Backend { name, reason });
            }
        }
    }
    match error {
        Some(error) => Err(error),
        None => Ok(choice),
    }
}

/// The backend that is always there, bare.
#[cfg(test)]
pub(crate) fn rten_for_tests(file: &ModelFile, config: &InferConfig) -> Box<dyn Backend> {
    let threads = rten::threads(config.threads);
    Box::new(RtenBackend::load(file, threads).expect("the embedded model loads"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Reason {
        Reason::Missing("not\nhere".into())
    }

    fn broken() -> Reason {
        Reason::Model(InferError::NotYolo {
            model: "m.onnx".into(),
            reason: "it is a cat".into(),
        })
    }

    #[test]
    fn auto_is_the_best_first_and_a_name_is_that_one_alone() {
        let names = |backend| -> Vec<_> {
            let wanted = wanted(backend).unwrap();
            wanted.iter().map(|c| c.name).collect()
        };
        assert_eq!(names("auto"), ["tensorrt", "onnxruntime", "rten"]);
        for name in ["tensorrt", "onnxruntime", "rten"] {
            assert_eq!(names(name), [name]);
        }
        let error = wanted("cuda").map(<[_]>::len).unwrap_err().to_string();
        assert!(
            error.contains("cuda") && error.contains("auto, tensorrt, onnxruntime, rten"),
            "{error}"
        );
    }

    #[test]
    fn every_one_passed_over_has_its_reason() {
        let choice = first(&CANDIDATES, |c| match c.name {
            "tensorrt" => Err(missing()),
            "onnxruntime" => Err(broken()),
            name => Ok(name),
        });
        let Choice {
            found,
            passed_over,
            not_built,
        } = choice.unwrap();
        assert_eq!((found, not_built.is_none()), (Some("rten"), true));
        assert_eq!(passed_over[0], ("tensorrt", "not here".into()));
        assert_eq!(passed_over[1].0, "onnxruntime");
        assert!(passed_over[1].1.contains("it is a cat"), "{passed_over:?}");
        let choice = first(&CANDIDATES, |c| Ok(c.name)).unwrap();
        assert_eq!(
            (choice.found, choice.passed_over.len()),
            (Some("tensorrt"), 0)
        );
    }

    #[test]
    fn none_at_all_is_the_last_ones_error() {
        let error = first::<()>(&CANDIDATES, |c| match c.name {
            "rten" => Err(broken()),
            _ => Err(missing()),
        });
        assert!(
            matches!(error, Err(InferError::NotYolo { .. })),
            "{error:?}"
        );
        let error = first::<()>(&CANDIDATES[1..2], |_| Err(missing()));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("backend onnxruntime is not available"),
            "{error}"
        );
    }
}
