//! From the CPU to TensorRT while frames flow: the engine is built in a process of its own, then loaded and run once by
//! a thread of its own; the stage goes over between two frames.

use crate::detector::Detector;
use crate::engine::{Building, EngineError, Job, State};
use crate::error::InferError;
use hanja_stage::config::InferConfig;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

/// How often a build that somebody waits for is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often its progress is said.
const SAY: Duration = Duration::from_secs(10);

/// An engine on its way.
#[derive(Debug)]
pub(crate) struct Upgrade {
    step: Step,
    config: InferConfig,
    said: Option<Instant>,
}

#[derive(Debug)]
enum Step {
    Building(Box<Building>),
    Loading(Receiver<Result<Box<Detector>, InferError>>),
}

/// How it stands.
#[derive(Debug)]
pub(crate) enum News {
    /// It goes on; in words.
    Progress(String),
    /// Everything from now on goes to this one.
    Ready(Box<Detector>),
    /// There will be none, and why.
    Failed(String),
}

impl Upgrade {
    /// Starts the build.
    pub(crate) fn start(job: &Job, config: &InferConfig) -> Result<Self, EngineError> {
        say_why(job);
        tracing::info!("building the TensorRT engine; the CPU serves meanwhile");
        Ok(Self {
            step: Step::Building(Box::new(Building::start(job)?)),
            config: config.clone(),
            said: None,
        })
    }

    /// The thresholds that it shall have.
    pub(crate) fn set_thresholds(&mut self, conf: Option<f32>, iou: f32) {
        (self.config.conf, self.config.iou) = (conf, iou);
    }

    /// How it stands. Does not wait. After `Ready` and `Failed` it is over.
    pub(crate) fn poll(&mut self) -> News {
        match &mut self.step {
            Step::Building(building) => match building.poll() {
                State::Progress(progress) => {
                    let words = progress.to_string();
                    say(&mut self.said, &words);
                    News::Progress(format!("its engine is being built: {words}"))
                }
                State::Failed(why) => News::Failed(format!("its engine was not built: {why}")),
                State::Done(done) => {
                    tracing::info!("engine {} is there, loading it", done.path.display());
                    self.step = Step::Loading(load(self.config.clone()));
                    News::Progress("its engine is being loaded".into())
                }
            },
            Step::Loading(result) => match result.try_recv() {
                Ok(Ok(detector)) => News::Ready(detector),
                Ok(Err(e)) => News::Failed(e.to_string()),
                Err(TryRecvError::Empty) => News::Progress("its engine is being loaded".into()),
                Err(TryRecvError::Disconnected) => {
                    News::Failed("loading its engine ended in a panic".into())
                }
            },
        }
    }
}

/// Loading takes seconds in which frames would be missed.
fn load(config: InferConfig) -> Receiver<Result<Box<Detector>, InferError>> {
    let (send, receive) = sync_channel(1);
    std::thread::spawn(move || {
        // Whoever wanted it may have stopped.
        let _ = send.send(Detector::load_tensorrt(&config).map(Box::new));
    });
    receive
}

/// Builds while the caller waits.
pub(crate) fn build(job: &Job) -> Result<(), Box<EngineError>> {
    say_why(job);
    tracing::info!("building the TensorRT engine first, which may take minutes");
    let mut building = Building::start(job)?;
    let mut said = None;
    loop {
        match building.poll() {
            State::Done(_) => return Ok(()),
            State::Failed(why) => return Err(Box::new(EngineError::Build(why))),
            State::Progress(progress) => say(&mut said, &progress.to_string()),
        }
        std::thread::sleep(LOOK);
    }
}

/// Why an engine is built that was there already.
fn say_why(job: &Job) {
    if let Some(refusal) = &job.refused {
        tracing::warn!("the engine in the cache is refused and will be built anew: {refusal}");
    }
}

/// Progress in the log, now and then.
fn say(said: &mut Option<Instant>, words: &str) {
    if said.is_none_or(|at| at.elapsed() >= SAY) {
        tracing::info!("engine: {words}");
        *said = Some(Instant::now());
    }
}
