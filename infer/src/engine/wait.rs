//! Builds that somebody waits for, and what the log says meanwhile.

use super::building::{Building, Job, State};
use super::error::EngineError;
use std::time::{Duration, Instant};

/// How often a build is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How often its progress is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Logs the progress of a build now and then.
#[derive(Debug, Default)]
pub(crate) struct ProgressLog {
    logged: Option<Instant>,
}

impl ProgressLog {
    /// For the build of `job`. Logs why an engine that is there already is built anew.
    pub(crate) fn start(job: &Job) -> Self {
        if let Some(refusal) = &job.refused {
            tracing::warn!("the engine in the cache is refused and will be built anew: {refusal}");
        }
        Self::default()
    }

    pub(crate) fn log(&mut self, message: &str) {
        if self.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            tracing::info!("engine: {message}");
            self.logged = Some(Instant::now());
        }
    }
}

/// Builds an engine while the caller waits.
pub(crate) fn build_and_wait(job: &Job) -> Result<(), EngineError> {
    let mut log = ProgressLog::start(job);
    tracing::info!("building the TensorRT engine first, which may take minutes");
    let mut building = Building::start(job)?;
    loop {
        match building.poll() {
            State::Done(_) => return Ok(()),
            State::Failed(reason) => return Err(EngineError::Build(reason)),
            State::Progress(progress) => log.log(&progress.to_string()),
        }
        std::thread::sleep(POLL);
    }
}
