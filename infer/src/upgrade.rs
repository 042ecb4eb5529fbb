//! From the CPU to TensorRT while frames flow: the engine is built in a process of its own, then loaded and run once by
//! a thread of its own; the stage switches to it between two frames.

use crate::detector::Detector;
use crate::engine::{Building, EngineError, Job, ProgressLog, State};
use crate::error::InferError;
use crate::loader;
use hanja_stage::config::InferConfig;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// An engine that is being built or loaded.
#[derive(Debug)]
pub(crate) struct Upgrade {
    step: Step,
    config: InferConfig,
    log: ProgressLog,
}

#[derive(Debug)]
enum Step {
    Building(Box<Building>),
    Loading(Receiver<Result<Box<Detector>, InferError>>),
}

/// How far an upgrade is.
#[derive(Debug)]
pub(crate) enum UpgradeState {
    /// It is under way; says what it does.
    Progress(String),
    /// The detector for all frames from now on.
    Ready(Box<Detector>),
    /// There will be none, and why.
    Failed(String),
}

impl Upgrade {
    /// Starts the build.
    pub(crate) fn start(job: &Job, config: &InferConfig) -> Result<Self, EngineError> {
        let log = ProgressLog::start(job);
        tracing::info!("building the TensorRT engine; the CPU serves meanwhile");
        Ok(Self {
            step: Step::Building(Box::new(Building::start(job)?)),
            config: config.clone(),
            log,
        })
    }

    /// Sets the thresholds of the detector to be loaded.
    pub(crate) fn set_thresholds(&mut self, conf: Option<f32>, iou: f32) {
        (self.config.conf, self.config.iou) = (conf, iou);
    }

    /// How far it is. Does not wait. After `Ready` and `Failed` it is over.
    pub(crate) fn poll(&mut self) -> UpgradeState {
        match &mut self.step {
            Step::Building(building) => match building.poll() {
                State::Progress(progress) => {
                    let message = progress.to_string();
                    self.log.log(&message);
                    UpgradeState::Progress(format!("its engine is being built: {message}"))
                }
                State::Failed(reason) => {
                    UpgradeState::Failed(format!("its engine was not built: {reason}"))
                }
                State::Done(done) => {
                    tracing::info!("engine {} is there, loading it", done.path.display());
                    self.step = Step::Loading(load(self.config.clone()));
                    UpgradeState::Progress("its engine is being loaded".into())
                }
            },
            Step::Loading(result) => match result.try_recv() {
                Ok(Ok(detector)) => UpgradeState::Ready(detector),
                Ok(Err(e)) => UpgradeState::Failed(e.to_string()),
                Err(TryRecvError::Empty) => {
                    UpgradeState::Progress("its engine is being loaded".into())
                }
                Err(TryRecvError::Disconnected) => {
                    UpgradeState::Failed("loading its engine ended in a panic".into())
                }
            },
        }
    }
}

/// Loads on a thread of its own: it takes seconds, in which frames would be missed.
fn load(config: InferConfig) -> Receiver<Result<Box<Detector>, InferError>> {
    let (send, receive) = sync_channel(1);
    std::thread::spawn(move || {
        // The stage may have stopped, and nobody receives any more.
        let _ = send.send(loader::load_tensorrt(&config).map(Box::new));
    });
    receive
}
