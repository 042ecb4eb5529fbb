//! Puts a model, a backend and a runner together into a [`Detector`].

use crate::backend::Unusable;
use crate::backend::onnxruntime::OnnxRuntimeBackend;
use crate::backend::rten::{self, RtenBackend};
use crate::detector::Detector;
use crate::engine::{self, Job};
use crate::error::InferError;
use crate::model::ModelFile;
use crate::runner::{CpuRunner, Runner, TensorRtRunner};
use crate::select;
use hanja_record::Backend;
use hanja_stage::config::InferConfig;

/// The result of loading without waiting for an engine.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// A detector; and the build that would make a better backend usable.
    Ready(Box<Detector>, Option<Job>),
    /// TensorRT was asked for by name, and there is no engine yet.
    NotBuilt(Job),
}

impl Detector {
    /// Loads the configured model into the best backend that works, and runs it once, so that a bad model is refused here
    /// and the first picture is not slower than the rest. If an engine for TensorRT has to be built, this waits for it
    /// where TensorRT was asked for by name; else it takes the next best backend.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn load(config: &InferConfig) -> Result<Self, InferError> {
        match load_now(config)? {
            Loaded::Ready(detector, _) => Ok(*detector),
            Loaded::NotBuilt(job) => {
                engine::build_and_wait(&job).map_err(Box::new)?;
                load_tensorrt(config)
            }
        }
    }

    /// As [`load`](Self::load), but an engine that has to be built is an error.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn load_built(config: &InferConfig) -> Result<Self, InferError> {
        match load_now(config)? {
            Loaded::Ready(detector, _) => Ok(*detector),
            Loaded::NotBuilt(job) => Err(InferError::Backend {
                name: config.backend.clone(),
                reason: Unusable::NotBuilt(Box::new(job)).to_string(),
            }),
        }
    }
}

/// Loads the best configured backend that works now. An engine that is not built is reported, not waited for.
pub(crate) fn load_now(config: &InferConfig) -> Result<Loaded, InferError> {
    load_first(select::wanted(&config.backend)?, config)
}

/// Loads the best backend on the CPU, whatever is configured.
pub(crate) fn load_cpu(config: &InferConfig) -> Result<Detector, InferError> {
    match load_first(select::on_the_cpu(), config)? {
        Loaded::Ready(detector, _) => Ok(*detector),
        Loaded::NotBuilt(_) => Err(InferError::no_backend()),
    }
}

/// Loads TensorRT and nothing else, right after its engine was built.
pub(crate) fn load_tensorrt(config: &InferConfig) -> Result<Detector, InferError> {
    let named = InferConfig {
        backend: Backend::TensorRt.name().into(),
        ..config.clone()
    };
    match load_now(&named)? {
        Loaded::Ready(detector, _) => Ok(*detector),
        Loaded::NotBuilt(job) => Err(InferError::Backend {
            name: named.backend,
            reason: match job.refused {
                Some(refusal) => format!(
                    "the engine that was just built here is refused: {refusal}; so it will be at every start, after minutes of building, until driver and TensorRT fit each other; backend = \"onnxruntime\" or \"rten\" in the configuration saves the building"
                ),
                None => format!(
                    "the engine that was just built is not in the cache {} any more",
                    job.cache.display()
                ),
            },
        }),
    }
}

fn load_first(backends: &[Backend], config: &InferConfig) -> Result<Loaded, InferError> {
    let file = ModelFile::open(config.model.as_deref())?;
    let choice = select::first(backends, |backend| {
        let runner = runner(backend, &file, config)?;
        Detector::with_runner(runner, config, &file).map_err(Unusable::Model)
    })?;
    let Some(mut detector) = choice.found else {
        return match choice.not_built {
            Some(job) => Ok(Loaded::NotBuilt(job)),
            None => Err(InferError::no_backend()),
        };
    };
    detector.set_passed_over(choice.passed_over);
    Ok(Loaded::Ready(Box::new(detector), choice.not_built))
}

/// The model in this backend, with all that a picture needs around it.
fn runner(
    backend: Backend,
    file: &ModelFile,
    config: &InferConfig,
) -> Result<Box<dyn Runner>, Unusable> {
    match backend {
        Backend::TensorRt => Ok(Box::new(TensorRtRunner::load(file, config)?)),
        Backend::OnnxRuntime => {
            let runner = CpuRunner::load(config, |once_more| {
                // Layers of a small input are too short to be shared between threads that sleep.
                let threads = if once_more { Some(1) } else { config.threads };
                Ok(Box::new(OnnxRuntimeBackend::load(file, threads)?))
            })?;
            Ok(Box::new(runner))
        }
        Backend::Rten => {
            let threads = rten::threads(config.threads);
            let runner = CpuRunner::load(config, |_| {
                Ok(Box::new(RtenBackend::load(file, threads.clone())?))
            })?;
            Ok(Box::new(runner))
        }
        Backend::None | Backend::Truth => Err(Unusable::Missing("it does not run models".into())),
    }
}
