//! The process that builds an engine, as its parent sees it. A build takes minutes and gigabytes inside of NVIDIA's
//! library; if that crashes or the kernel needs its memory, this process goes on.
//!
//! The child is this same executable as `hanja engine build --worker`. It reads its [`Job`] from standard input and
//! writes one JSON object a line to standard output. Its standard input stays open: when the parent dies, however,
//! the child reads its end and dies too. (The kernel's own signal for that, PR_SET_PDEATHSIG, comes when the *thread*
//! that started the child ends, so it would tie a build to whichever thread happened to start it.)

use super::cache::{Cache, cache_dir};
use super::error::EngineError;
use super::key::{DeviceKey, Key, LibraryKey, Precision, Shape};
use crate::model::{ModelFile, sizes};
use hanja_common::config::InferConfig;
use hanja_common::process::describe;
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
/// The last lines of a child that has ended may still be in the pipe; somebody else who holds it open longer is not
/// waited for.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What is to be built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// As in the configuration: a file, the name of a model inside the executable, or none for the default one.
    pub model: Option<PathBuf>,
    /// Of the input.
    pub shape: Shape,
    /// Whether the model is to look twice, the second time at a smaller picture.
    pub second_size: bool,
    /// Of weights and computation.
    pub precision: Precision,
    /// Where it will run; `None`: the GPU of this machine, which the child looks for.
    pub device: Option<DeviceKey>,
    /// Most memory that the library may use while it tries things out, MiB; `None`: the library's own choice.
    pub workspace_mib: Option<u32>,
    /// The cache's directory.
    pub cache: PathBuf,
    /// A file to write the engine to instead of the cache.
    pub out: Option<PathBuf>,
    /// Why the library refused the one in the cache; it is built anew then.
    pub refused: Option<String>,
    /// Filter of the child's log, which joins this process's standard error.
    pub log: String,
}

impl Job {
    /// The engine that this configuration wants of its model, into its cache, for the GPU of this machine.
    ///
    /// # Errors
    /// [`EngineError::Model`], [`EngineError::Onnx`]: it is no usable model. [`EngineError::Precision`].
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
                // Cameras are mostly 4:3; another picture is letterboxed into the same input.
                None => Shape::for_picture(640, 480, config.size),
            },
            // A file of fixed size has no second one: its nodes may count on the first.
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

    /// The key under which the result will lie in the cache.
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

/// Where a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The process comes up: it loads the library and the model.
    Starting,
    /// Another process builds in the same cache.
    Waiting,
    /// The model is read and, where the library wants that, made fp16.
    Preparing,
    /// The library works. This is what takes minutes.
    Building,
    /// The engine is checked and written.
    Saving,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// How much of the phase is done, where the library says it.
    pub percent: Option<u8>,
    /// Since the process started.
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
    /// It was there already.
    pub cached: bool,
    /// What is worth a word: a tensor that was clamped, a timing cache that could not be kept.
    pub notes: Vec<String>,
}

/// What [`Building::poll`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Progress(Progress),
    /// It is there: ask the cache for it.
    Done(Done),
    /// There will be none, and why; in one line.
    Failed(String),
}

/// A running build. Dropped, it is ended.
#[derive(Debug)]
pub struct Building {
    process: Child,
    /// Kept open: its end is the child's.
    _stdin: Option<ChildStdin>,
    lines: Receiver<Line>,
    started: Instant,
    progress: Progress,
    /// What the child said last of all.
    said: Option<Line>,
    /// How it ended, and when that was seen.
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
            // Its log joins ours. Ctrl-C reaches the parent, which ends it.
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
            said: None,
            ended: None,
            outcome: None,
        };
        if let Some(stdin) = &mut stdin {
            let mut line = serde_json::to_vec(job).map_err(|e| EngineError::Spawn(e.into()))?;
            line.push(b'\n');
            // A child that is gone already is reported by `poll`, which knows how it ended.
            if let Err(e) = stdin.write_all(&line)
                && e.kind() != std::io::ErrorKind::BrokenPipe
            {
                return Err(EngineError::Spawn(e));
            }
        }
        building._stdin = stdin;
        Ok(building)
    }

    /// How it stands. Does not wait; once it is done or failed it stays so.
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
        let all_said = self.listen();
        match self.ended {
            Some((status, at)) if all_said || at.elapsed() >= LAST_LINES => self.end(status),
            _ => {
                let elapsed = self.started.elapsed().as_millis();
                self.progress.elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
                State::Progress(self.progress)
            }
        }
    }

    /// Takes in what the child has said; gives whether there will be no more of it.
    fn listen(&mut self) -> bool {
        loop {
            match self.lines.try_recv() {
                Ok(Line::Progress(progress)) => self.progress = progress,
                Ok(last) => self.said = Some(last),
                Err(e) => return e == TryRecvError::Disconnected,
            }
        }
    }

    /// Only what the child said *and* ended well after is believed.
    fn end(&mut self, status: ExitStatus) -> State {
        let how = describe(status);
        let phase = self.progress.phase;
        let state = match self.said.take() {
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
            // Nothing of it is visible before it is whole, so it may be ended at any point.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Takes the child's lines apart until it closes them. What is no line of ours is somebody's debug output.
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
