//! The process that builds an engine, as its parent sees it. A build takes minutes and gigabytes inside of NVIDIA's
//! library; if the library crashes or the kernel runs out of memory, only the child ends.
//!
//! The child is the same executable, started as `hanja engine build --worker`. It reads its [`Job`] from standard input and
//! writes lines of JSON to standard output. The parent keeps the child's standard input open. When the parent dies, in
//! whatever way, the child reads the end of that input and ends too. (The kernel's own signal for that, PR_SET_PDEATHSIG,
//! is sent when the *thread* that started the child ends, so a build would depend on the life of that thread.)

use super::cache::{Cache, cache_dir};
use super::error::EngineError;
use super::key::{DeviceKey, Key, LibraryKey, Precision, Shape};
use crate::model::{ModelFile, sizes};
use hanja_stage::config::InferConfig;
use hanja_stage::process::describe;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Longest line that the child may write, bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// Longest wait, after the child has ended, for lines that are still in the pipe: another process may hold it open.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What is to be built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The model as in the configuration: a file, the name of a model inside the executable, or none for the default one.
    pub model: Option<PathBuf>,
    /// Shape of the input.
    pub shape: Shape,
    /// Whether the engine is to run the model on a second, smaller size of the picture as well.
    pub second_size: bool,
    /// Precision of weights and computation.
    pub precision: Precision,
    /// The device that will run it; `None`: the GPU of this machine, which the child looks for.
    pub device: Option<DeviceKey>,
    /// The most memory that the library may use for trying out variants, MiB; `None`: the library's own choice.
    pub workspace_mib: Option<u32>,
    /// The cache's directory.
    pub cache: PathBuf,
    /// A file to write the engine to instead of the cache.
    pub out: Option<PathBuf>,
    /// Why the library refused the engine in the cache, if it did; the engine is built anew then.
    pub refused: Option<String>,
    /// Filter of the child's log, which joins this process's standard error.
    pub log: String,
}

impl Job {
    /// The job for a configuration: builds its model for the GPU of this machine, into its cache.
    ///
    /// # Errors
    /// [`EngineError::Model`], [`EngineError::Onnx`]: the model cannot be used. [`EngineError::Precision`].
    pub fn new(config: &InferConfig) -> Result<Self, EngineError> {
        Self::of(&ModelFile::open(config.model.as_deref())?, config)
    }

    /// The same for a model that has been read.
    pub(crate) fn of(file: &ModelFile, config: &InferConfig) -> Result<Self, EngineError> {
        let described = file.described().map_err(|source| EngineError::Onnx {
            model: file.name.clone(),
            source,
        })?;
        let names = described.class_names();
        Ok(Self {
            model: config.model.clone(),
            shape: match described.fixed {
                Some((height, width)) => Shape { width, height },
                // Most cameras are 4:3; other pictures are letterboxed into the same input.
                None => Shape::for_picture(640, 480, config.size),
            },
            // A file of fixed size cannot run on a second one: its nodes may depend on the first.
            second_size: described.fixed.is_none() && sizes::second(config, names.as_deref()) > 0,
            precision: config.precision.parse()?,
            device: None,
            workspace_mib: None,
            cache: cache_dir(config),
            out: None,
            refused: None,
            log: "warn".into(),
        })
    }

    /// The key under which the engine will be stored in the cache.
    pub(crate) fn key_of(&self, file: &ModelFile, library: LibraryKey) -> Key {
        let (device, precision) = (self.device.clone(), self.precision);
        Key {
            second_size: self.second_size,
            ..Key::new(
                &file.name,
                &file.bytes,
                library,
                device,
                precision,
                self.shape,
            )
        }
    }
}

/// What a build is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The process starts: it loads the library and the model.
    Starting,
    /// Another process builds in the same cache.
    Waiting,
    /// The model is read and, if the library needs that, converted to fp16.
    Preparing,
    /// The library builds the engine, which takes minutes.
    Building,
    /// The engine is checked and written.
    Saving,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// How much of the phase is done, if the library reports that.
    pub percent: Option<u8>,
    /// Milliseconds since the process started.
    pub elapsed_ms: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.phase {
            Phase::Starting => "starting",
            Phase::Waiting => "waiting for another build in the same cache",
            Phase::Preparing => "preparing the model",
            Phase::Building => "building, which may take minutes",
            Phase::Saving => "saving",
        };
        write!(f, "{what}")?;
        if let Some(percent) = self.percent {
            write!(f, ", {percent} %")?;
        }
        write!(f, ", {:.1} s", self.elapsed_ms as f64 / 1000.0)
    }
}

/// A line of the child.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    Progress(Progress),
    Done(Done),
    Failed(String),
}

/// A finished build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The engine.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Whether it was in the cache already.
    pub cached: bool,
    /// Notes for the user: a tensor that was clamped, a timing cache that could not be stored.
    pub notes: Vec<String>,
}

/// The result of [`Building::poll`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The build is running.
    Progress(Progress),
    /// The engine is in the cache, or in the file that the job names.
    Done(Done),
    /// The build failed, and why, in one line.
    Failed(String),
}

/// A running build. Dropping it kills the child.
#[derive(Debug)]
pub struct Building {
    process: Child,
    /// Kept open: when it is closed, the child ends.
    _stdin: Option<ChildStdin>,
    lines: Receiver<Line>,
    started: Instant,
    progress: Progress,
    /// The child's last line, which says how the build ended.
    last_line: Option<Line>,
    /// The child's exit status, and when it was seen.
    ended: Option<(ExitStatus, Instant)>,
    outcome: Option<State>,
}

impl Building {
    /// Starts the child. The cache is made and checked before, so that an unwritable one is known at once.
    ///
    /// # Errors
    /// [`EngineError::Cache`], [`EngineError::Trust`], [`EngineError::Spawn`].
    pub fn start(job: &Job) -> Result<Self, EngineError> {
        let exe = std::env::current_exe().map_err(EngineError::Spawn)?;
        Self::start_as(&exe, job)
    }

    pub(super) fn start_as(exe: &Path, job: &Job) -> Result<Self, EngineError> {
        if job.out.is_none() {
            Cache::new(&job.cache).prepare()?;
        }
        let mut process = Command::new(exe)
            .args(["engine", "build", "--worker"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The child logs to our standard error. Ctrl-C reaches only the parent, which kills the child.
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .map_err(EngineError::Spawn)?;
        let mut stdin = process.stdin.take();
        let (sender, lines) = channel();
        if let Some(stdout) = process.stdout.take() {
            std::thread::spawn(move || forward(stdout, &sender));
        }
        let mut building = Self {
            process,
            _stdin: None,
            lines,
            started: Instant::now(),
            progress: Progress {
                phase: Phase::Starting,
                percent: None,
                elapsed_ms: 0,
            },
            last_line: None,
            ended: None,
            outcome: None,
        };
        if let Some(stdin) = &mut stdin {
            let mut line = serde_json::to_vec(job).map_err(|e| EngineError::Spawn(e.into()))?;
            line.push(b'\n');
            // If the child has ended already, `poll` reports how.
            if let Err(e) = stdin.write_all(&line)
                && e.kind() != std::io::ErrorKind::BrokenPipe
            {
                return Err(EngineError::Spawn(e));
            }
        }
        building._stdin = stdin;
        Ok(building)
    }

    /// The state of the build. Does not wait. Once the build is done or has failed, this returns the same again.
    pub fn poll(&mut self) -> State {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        if self.ended.is_none() {
            match self.process.try_wait() {
                Ok(status) => self.ended = status.map(|status| (status, Instant::now())),
                Err(e) => return self.settle(State::Failed(format!("its process is lost: {e}"))),
            }
        }
        let no_more_lines = self.read_lines();
        match self.ended {
            Some((status, at)) if no_more_lines || at.elapsed() >= LAST_LINES => {
                self.conclude(status)
            }
            _ => {
                let elapsed = self.started.elapsed().as_millis();
                self.progress.elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
                State::Progress(self.progress)
            }
        }
    }

    /// Reads the lines that the child has written; returns whether there will be no more.
    fn read_lines(&mut self) -> bool {
        loop {
            match self.lines.try_recv() {
                Ok(Line::Progress(progress)) => self.progress = progress,
                Ok(last) => self.last_line = Some(last),
                Err(e) => return e == TryRecvError::Disconnected,
            }
        }
    }

    /// The outcome, from the child's last line and its exit status: a success counts only if both say so.
    fn conclude(&mut self, status: ExitStatus) -> State {
        let how = describe(status);
        let phase = self.progress.phase;
        let state = match self.last_line.take() {
            Some(Line::Done(done)) if status.success() => State::Done(done),
            Some(Line::Failed(why)) if status.code().is_some() => State::Failed(why),
            _ => {
                let hint = match status.signal() {
                    Some(9) => {
                        "; if nobody killed it, the machine ran out of memory (journalctl -k): close other programs or set a smaller --workspace"
                    }
                    Some(_) => {
                        "; that is a crash inside of TensorRT, its last lines are in the log above"
                    }
                    None => "",
                };
                State::Failed(format!(
                    "the process that built the engine {how} while {}{hint}",
                    phase.doing()
                ))
            }
        };
        self.settle(state)
    }

    fn settle(&mut self, state: State) -> State {
        self.outcome = Some(state.clone());
        state
    }
}

impl Phase {
    fn doing(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting for another build",
            Self::Preparing => "preparing the model",
            Self::Building => "building",
            Self::Saving => "saving",
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if self.outcome.is_none() {
            // Files get their names only when they are complete, so the child can be killed at any point.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Parses the child's lines until it closes its output. Anything else in there is debug output of other code.
fn forward(pipe: impl Read, lines: &Sender<Line>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(line) => {
                if lines.send(line).is_err() {
                    return;
                }
            }
            Err(_) => tracing::debug!(
                "engine build: {}",
                String::from_utf8_lossy(&line).trim_end()
            ),
        }
    }
}
