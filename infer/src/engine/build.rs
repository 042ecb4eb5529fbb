//! The child process that builds an engine: reads a [`Job`], loads the library, writes lines, stores the result.

use super::building::{Done, Job, Line, Phase, Progress};
use super::cache::{Cache, Found, write_whole};
use super::error::EngineError;
use super::key::{DeviceKey, Key, LibraryKey, Precision};
use crate::model::ModelFile;
use crate::model::sizes::LEAST_SECOND;
use crate::preprocess::BARS;
use hanja_onnx::half::{HalfError, HalfReport, half};
use hanja_onnx::second_size::{self, SecondSize};
use hanja_onnx::{Model, OnnxError, storage};
use hanja_tensorrt::{Flavour, Library, Request};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the parent gets a line while the library builds.
const TICK: Duration = Duration::from_secs(1);
/// When memory runs out, the kernel kills the process with the highest score; the stage that serves frames has 0.
const OOM_SCORE: &str = "500";
/// A lower priority than that of the stage that serves frames meanwhile.
const NICENESS: i32 = 5;

/// Runs as the child of a [`Building`](super::Building): reads the job from standard input, writes lines to standard output.
/// Returns whether there is an engine. `log` starts the logging with the job's filter.
///
/// # Errors
/// Standard input or output cannot be used, so that the parent would hear of nothing; or `log`'s.
pub fn worker<E>(log: impl FnOnce(&str) -> Result<(), E>) -> io::Result<bool>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let lines = Lines::take_stdout()?;
    let mut stdin = io::stdin().lock();
    let mut text = String::new();
    stdin.by_ref().take(64 << 10).read_line(&mut text)?;
    drop(stdin);
    let job: Job = serde_json::from_str(&text)?;
    log(&job.log).map_err(io::Error::other)?;
    die_with_parent();
    lower_priority();
    let result = run(&job, &lines);
    let last = match result {
        Ok(done) => Line::Done(done),
        // Without "the engine was not built", which the parent adds itself.
        Err(EngineError::Build(why)) => Line::Failed(why.replace('\n', " ")),
        Err(e) => Line::Failed(one_line(&e)),
    };
    let done = matches!(last, Line::Done(_));
    lines.write(&last)?;
    Ok(done)
}

/// Standard output, reserved for lines: what native code prints there goes to standard error from now on.
#[derive(Clone, Debug)]
struct Lines {
    started: Instant,
    out: Arc<Mutex<File>>,
}

impl Lines {
    fn take_stdout() -> io::Result<Self> {
        let out = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Self {
            started: Instant::now(),
            out: Arc::new(Mutex::new(out.into())),
        })
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&text)
    }

    fn progress(&self, phase: Phase, percent: Option<u8>) {
        let elapsed_ms = self.started.elapsed().as_millis() as u64;
        // A parent that reads no more has closed our standard input as well, which `die_with_parent` acts upon.
        let _ = self.write(&Line::Progress(Progress {
            phase,
            percent,
            elapsed_ms,
        }));
    }
}

/// Ends this process when standard input is closed: it stays open as long as the parent lives and wants the engine.
fn die_with_parent() {
    std::thread::spawn(|| {
        let mut rest = [0; 64];
        loop {
            match io::stdin().lock().read(&mut rest) {
                Ok(1..) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        // Not `exit`, which would run the library's exit handlers while the library is working.
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    });
}

/// Lets the stage that serves frames go first, for memory and for cores. Where the system forbids that, the build goes on
/// without.
fn lower_priority() {
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

fn run(job: &Job, lines: &Lines) -> Result<Done, EngineError> {
    lines.progress(Phase::Starting, None);
    let library = Library::find().map_err(|e| EngineError::Build(e.to_string()))?;
    if let Some(why) = library.cannot_build() {
        return Err(EngineError::Build(why));
    }
    let file = ModelFile::open(job.model.as_deref())?;
    let job = &Job {
        device: job.device.clone().or_else(device_key),
        ..job.clone()
    };
    let key = job.key_of(&file, library_key(&library));
    if let Some(out) = &job.out {
        let engine = build(job, &key, &library, &file, None, lines)?;
        write_whole(out, &engine.plan).map_err(|source| EngineError::Out {
            path: out.clone(),
            source,
        })?;
        return Ok(engine.done(out));
    }
    let cache = Cache::new(&job.cache);
    cache.prepare()?;
    let _lock = match cache.lock(false)? {
        Some(lock) => Some(lock),
        None => {
            lines.progress(Phase::Waiting, None);
            cache.lock(true)?
        }
    };
    match cache.find(&key)? {
        Found::Engine(engine) if job.refused.is_none() => {
            return Ok(Done {
                path: engine.path,
                bytes: engine.sidecar.bytes,
                cached: true,
                notes: Vec::new(),
            });
        }
        Found::Engine(_) | Found::Nothing => {}
        Found::Unfit(why) => {
            let name = key.file_name();
            tracing::warn!("the engine {name} in the cache is not used: {why}; it is built anew");
        }
    }
    let mut engine = build(job, &key, &library, &file, Some(&cache), lines)?;
    lines.progress(Phase::Saving, None);
    if let Some(timing) = engine.timing.take()
        && key.device.is_some()
        && let Err(e) = cache.store_timing(&key, &timing)
    {
        engine
            .notes
            .push(format!("the timing cache is not kept: {e}"));
    }
    let built_by = format!("{} ({})", library.label(), library.path().display());
    let path = cache.store(&key, &engine.plan, engine.time, &built_by)?;
    Ok(engine.done(&path))
}

/// The library's part of a key.
#[must_use]
pub fn library_key(library: &Library) -> LibraryKey {
    let flavour = match library.flavour() {
        Flavour::TensorRt => "trt",
        Flavour::Rtx => "rtx",
    };
    LibraryKey {
        flavour: flavour.into(),
        version: library.version().to_string(),
    }
}

/// The device's part of a key: the GPU of this machine, if there is one. Its context stays current on this thread, and uses
/// memory until the process ends.
#[must_use]
pub fn device_key() -> Option<DeviceKey> {
    match hanja_cuda::Device::probe() {
        Ok(device) => Some(DeviceKey {
            name: device.facts().name.clone(),
            compute_capability: device.facts().capability,
        }),
        Err(e) => {
            tracing::info!("no GPU to build for: {e}");
            None
        }
    }
}

/// A built engine that is not stored yet.
struct Fresh {
    plan: Vec<u8>,
    timing: Option<Vec<u8>>,
    time: Duration,
    notes: Vec<String>,
}

impl Fresh {
    fn done(self, path: &Path) -> Done {
        Done {
            path: path.to_owned(),
            bytes: self.plan.len() as u64,
            cached: false,
            notes: self.notes,
        }
    }
}

fn build(
    job: &Job,
    key: &Key,
    library: &Library,
    file: &ModelFile,
    cache: Option<&Cache>,
    lines: &Lines,
) -> Result<Fresh, EngineError> {
    let started = Instant::now();
    lines.progress(Phase::Preparing, None);
    let by_flag = library.fp16_by_flag();
    let half = job.precision == Precision::Fp16;
    let (onnx, notes) = prepared(job, file, half && !by_flag)?;
    // Without a device the library measures nothing, and rejects a timing cache of such a build with a warning.
    let timing_cache = cache
        .filter(|_| key.device.is_some())
        .and_then(|cache| cache.load_timing(key));
    let ticker = Ticker::start(lines);
    let report = |progress: &hanja_tensorrt::Progress<'_>| {
        ticker.update(progress);
        true
    };
    let request = Request {
        fp16: half && by_flag,
        workspace: job.workspace_mib.map(|mib| mib as usize * (1 << 20)),
        timing_cache: timing_cache.as_deref(),
        compute_capability: job
            .device
            .as_ref()
            .filter(|_| library.flavour() == Flavour::Rtx)
            .map(|d| d.compute_capability.0 * 10 + d.compute_capability.1),
        progress: Some(&report),
        ..Request::new(&onnx, job.shape.height, job.shape.width)
    };
    let built = hanja_tensorrt::build(library, &request);
    drop(ticker);
    let built = built.map_err(|e| EngineError::Build(format!("{}: {e}", file.name)))?;
    if built.plan.is_empty() {
        let why = format!("{} gave an empty engine", library.label());
        return Err(EngineError::Build(why));
    }
    Ok(Fresh {
        plan: built.plan,
        timing: built.timing_cache,
        time: started.elapsed(),
        notes,
    })
}

/// The model as the library gets it, and notes about it. The weights are stored as constants, which parsers before TensorRT
/// 8.5 need; a second size is added if the job asks for one; the model is converted to fp16 for libraries that have no
/// precision but the model's own.
pub(super) fn prepared<'a>(
    job: &Job,
    file: &'a ModelFile,
    in_half: bool,
) -> Result<(Cow<'a, [u8]>, Vec<String>), EngineError> {
    let failed = |source: OnnxError| EngineError::Onnx {
        model: file.name.clone(),
        source,
    };
    let mut model = match Model::parse(&file.bytes) {
        Ok(model) => model,
        // The library's parser may be able to read it; else it refuses the model with its own message.
        Err(_) if !in_half && !job.second_size => {
            return Ok((Cow::Borrowed(&*file.bytes), Vec::new()));
        }
        Err(e) => return Err(failed(e)),
    };
    let mut changed = storage::widen(&mut model).map_err(failed)? > 0;
    let mut notes = Vec::new();
    if job.second_size {
        let classes = file.described().map_err(failed)?.class_names();
        match add_second_size(job, &mut model, classes.map_or(0, |names| names.len())) {
            Ok(()) => changed = true,
            Err(e) => notes.push(format!("there is no second size in the engine: {e}")),
        }
    }
    if in_half {
        match half(&mut model) {
            Ok(report) => {
                changed = true;
                notes.extend(of_half(&report));
            }
            Err(HalfError::Nothing) => {} // it has been converted already
            Err(source) => {
                let model = file.name.clone();
                return Err(EngineError::Half { model, source });
            }
        }
    }
    let bytes = if changed {
        Cow::Owned(model.to_bytes())
    } else {
        Cow::Borrowed(&*file.bytes)
    };
    Ok((bytes, notes))
}

fn add_second_size(job: &Job, model: &mut Model, classes: usize) -> Result<(), OnnxError> {
    let (height, width) = (job.shape.height as usize, job.shape.width as usize);
    second_size::add(
        model,
        &SecondSize {
            input: (height, width),
            stride: 32,
            columns: 5 + classes,
            least: LEAST_SECOND * height.max(width) as f32,
            bars: BARS,
        },
    )
}

fn of_half(report: &HalfReport) -> impl Iterator<Item = String> {
    let clamped = report.clamped.iter().map(|(tensor, count)| {
        format!("{tensor}: {count} values are beyond fp16 and became 65504 or -65504")
    });
    let left = report
        .heavy_left
        .iter()
        .map(|node| format!("{node} stays f32: not all of its operands are known to be f32"));
    clamped.chain(left)
}

/// Writes a progress line every second while the library builds.
struct Ticker {
    percent: Arc<Mutex<Option<u8>>>,
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(lines: &Lines) -> Self {
        let (stop, stopped) = channel();
        let percent = Arc::new(Mutex::new(None));
        let (lines, shared) = (lines.clone(), Arc::clone(&percent));
        let thread = std::thread::spawn(move || {
            loop {
                let percent = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                lines.progress(Phase::Building, percent);
                if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self {
            percent,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Takes the percentage from the library's outermost phase; phases contain other phases.
    fn update(&self, progress: &hanja_tensorrt::Progress<'_>) {
        if progress.parent.is_none() && progress.steps > 0 {
            let percent = 100 * i64::from(progress.done) / i64::from(progress.steps);
            let percent = u8::try_from(percent.clamp(0, 100)).ok();
            *self.percent.lock().unwrap_or_else(PoisonError::into_inner) = percent;
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The error and its causes without line breaks.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text.replace('\n', " ")
}
