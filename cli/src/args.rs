//! The command line: what can be said. What it means is decided in the command's own module.

use clap::{Args, Parser, Subcommand, ValueEnum};
use hanja_infer::engine::Shape;
use hanja_stage::config::{Config, ConfigError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Finds handwritten hanja numerals 一 to 十 in a camera's picture, in real time.
#[derive(Debug, Parser)]
#[command(
    name = "hanja",
    version,
    about,
    after_help = "Without a command: hanja run."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Global {
    /// Directory of the control sockets [default: systemd's, else $XDG_RUNTIME_DIR/hanja, else a per-user temporary one; readers: else /run/hanja, the service's]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Configuration file (TOML); flags win over it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to log: error, warn, info, debug, or per module like hanja_infer=debug
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

impl Global {
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.runtime_dir
            .clone()
            .unwrap_or_else(hanja_record::runtime_dir::default)
    }

    /// Where to look for a pipeline that runs.
    pub(crate) fn reading_dir(&self) -> PathBuf {
        self.runtime_dir
            .clone()
            .unwrap_or_else(hanja_record::runtime_dir::to_read)
    }

    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let file = self.config.as_deref().map(Config::load).transpose()?;
        Ok(file.unwrap_or_default())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all three stages, supervised, until Ctrl-C (the default)
    Run(Box<RunArgs>),
    /// Run the capture stage: source to frames
    Capture(CaptureArgs),
    /// Run the infer stage: frames to detections
    Infer(InferArgs),
    /// Run the render stage: the web view
    Render(RenderArgs),
    /// Print what passes through a ring, without disturbing it
    Tap(TapArgs),
    /// Say whether the pipeline shows what is there now; exit status 0: live, 3: not running, 4: starting, 5: no new
    /// picture (no signal, the same frame again, clock frozen), 6: stale
    Status(StatusArgs),
    /// Write some seconds of every frame's way as a trace for Perfetto or Chrome
    Trace(TraceArgs),
    /// Watch the pipeline on the terminal: frames, latencies, losses, detections, and what is wrong
    Top(TopArgs),
    /// Find numerals in picture files, without daemons
    Detect(DetectArgs),
    /// Say what this machine has and what is missing
    Doctor(DoctorArgs),
    /// Measure
    Bench(BenchArgs),
    /// TensorRT engines and their cache
    Engine(EngineArgs),
    /// Write manual pages and shell completions
    #[command(hide = true)]
    Manual(hanja_manual::ManualArgs),
    /// Check the configuration file, without starting anything
    Check(CheckArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckedStage {
    /// Camera to frames
    Capture,
    /// Frames to detections
    Infer,
    /// The web view
    Render,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// For this stage, by its own user: files that only others read are left out
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) stage: Option<CheckedStage>,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CaptureArgs {
    /// Where frames come from: auto (the first camera; hanja run falls back to synth:, hanja capture waits for one), v4l2:/dev/video0?size=640x480&fps=30&format=auto, dir:PATH?fps=30&loop=1,
    /// file:CLIP (Y4M, MJPEG, AVI-MJPEG), y4m:- (standard input), synth:?size=640x480&fps=30&seed=1&glyphs=3
    #[arg(long, value_name = "URI")]
    pub(crate) source: Option<String>,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct InferArgs {
    /// YOLOv5 ONNX file, or one inside the executable: hanja-pico or hanja-n [default: hanja-pico]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<PathBuf>,
    /// What computes: auto, tensorrt, onnxruntime or rten
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// Least score of a detection [default: 0.75 with the second look, else 0.5]
    #[arg(long, value_name = "0..1")]
    pub(crate) conf: Option<f32>,
    /// Overlap above which the weaker of two boxes of a class goes [default: 0.45]
    #[arg(long, value_name = "0..1")]
    pub(crate) iou: Option<f32>,
    /// Whether a box goes for a better one of another class too [default: true with the ten numerals, else false]
    #[arg(long, value_name = "true|false")]
    pub(crate) agnostic: Option<bool>,
    /// Long side of the model's input in pixels, a multiple of 32 [default: 416]
    #[arg(long, value_name = "PIXELS")]
    pub(crate) size: Option<u32>,
    /// Long side of a second, smaller input for characters that fill the frame; 0 for none [default: 128 with the ten numerals, else 0]
    #[arg(long, value_name = "PIXELS")]
    pub(crate) coarse_size: Option<u32>,
    /// Whether a second network looks again at each numeral that was found [default: true]
    #[arg(long, value_name = "true|false")]
    pub(crate) verify: Option<bool>,
    /// Threads of the CPU backend [default: all cores]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// A TensorRT engine that is ready, instead of one from the cache
    #[arg(long, value_name = "FILE")]
    pub(crate) engine: Option<PathBuf>,
    /// Directory of TensorRT engines [default: systemd's, else $XDG_CACHE_HOME/hanja-pipeline, else ~/.cache/hanja-pipeline]
    #[arg(long, value_name = "DIR")]
    pub(crate) engine_cache: Option<PathBuf>,
    /// What TensorRT computes with: fp16 or fp32 [default: fp16]
    #[arg(long, value_name = "NAME")]
    pub(crate) precision: Option<String>,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RenderArgs {
    /// Address of the web view, or off [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Secret the web view asks for; needed beyond loopback
    #[arg(
        long,
        value_name = "SECRET",
        env = "HANJA_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) infer: InferArgs,
    #[command(flatten)]
    pub(crate) render: RenderArgs,
    /// Stop after this time, for example 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Write frames, fps and latencies of the run to this file at the end
    #[arg(long, value_name = "FILE.json")]
    pub(crate) summary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TapTopic {
    /// One record per frame infer looked at
    Detections,
    /// The pictures
    Frames,
    /// Each stage about itself, once a second
    Stats,
    /// What synth:?truth=1 drew where
    Truth,
    /// The records again, with the times when render had them and showed them
    Presented,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FrameFormat {
    /// The camera's own bytes, one frame after the other
    Raw,
    /// JPEG pictures, one after the other
    Jpeg,
    /// YUV4MPEG2, for ffmpeg and ffplay
    Y4m,
}

#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    /// Which ring
    pub(crate) topic: TapTopic,
    /// Where to: - is standard output, the only choice and the default
    #[arg(value_name = "-", value_parser = parse_stdout)]
    pub(crate) output: Option<()>,
    /// One JSON object a line (for frames: their metadata)
    #[arg(long)]
    pub(crate) json: bool,
    /// Comma-separated values with a header (for frames: their metadata; for detections: a row per detection)
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// How frames are written to standard output
    #[arg(long, value_enum, default_value = "raw")]
    pub(crate) format: FrameFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// If the terminal has it and NO_COLOR is not set
    Auto,
    /// In any case
    Always,
    /// Bold and reverse only
    Never,
}

#[derive(Debug, Args)]
#[command(after_help = "Keys: q quit, space pause, 1 2 3 a stage alone, r reset, ? help.")]
pub(crate) struct TopArgs {
    /// Print one picture as plain text and end; so too where standard output is no terminal, or one that cannot be drawn on
    #[arg(long)]
    pub(crate) once: bool,
    /// Time between two pictures, for example 500ms or 2s
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// When to use colour
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// No characters but ASCII; so too where the locale is not UTF-8
    #[arg(long)]
    pub(crate) ascii: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Wait until it is live, at most so long, for example 30s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// How long, at most 10m
    #[arg(long, value_name = "TIME", value_parser = parse_trace_duration, default_value = "5s")]
    pub(crate) duration: Duration,
    /// Where to; - is standard output
    #[arg(long, short, value_name = "FILE.json", default_value = "-")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Pictures, or directories of pictures
    #[arg(required = true, value_name = "FILES|DIRS")]
    pub(crate) paths: Vec<PathBuf>,
    /// One JSON object per picture
    #[arg(long)]
    pub(crate) json: bool,
    /// Write copies with the boxes drawn into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) infer: InferArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchWhat {
    /// The whole pipeline with the web view open, against the bare model on the same cores
    Pipeline,
    /// Models alone, at several input sizes
    Model,
    /// The shared-memory ring between two processes: hand-over, wake-up, copies, what taps cost the writer
    Ring,
    /// What histograms, checks and statistics cost the pipeline: with them against without
    Telemetry,
    /// The whole pipeline with the most boxes that a frame may have, against none on the same page
    Boxes,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure
    pub(crate) what: BenchWhat,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Rounds; the two sides are interleaved, medians are reported
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// For 'model': files or names of built-in models, with commas [default: --model, or all built-in ones]
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    pub(crate) models: Vec<PathBuf>,
    /// For 'model': backends to compare, with commas, such as rten,onnxruntime [default: --backend]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) backends: Vec<String>,
    /// For 'model': long sides of the input in pixels, with commas
    #[arg(
        long,
        value_name = "PIXELS",
        value_delimiter = ',',
        default_value = "320,416,512,640"
    )]
    pub(crate) sizes: Vec<u32>,
    /// How the benchmark starts its other process
    #[arg(long, hide = true)]
    pub(crate) other: Option<String>,
    #[command(flatten)]
    pub(crate) infer: InferArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    #[command(subcommand)]
    pub(crate) command: EngineCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EngineCommand {
    /// Build an engine for this machine's GPU, if the cache does not have it
    Build(EngineBuildArgs),
    /// Say what the cache has, each engine checked
    List(EngineListArgs),
    /// Remove engines that do not fit this machine's library or GPU or are damaged, and leftovers
    Prune(EnginePruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EngineBuildArgs {
    /// YOLOv5 ONNX file, or one inside the executable: hanja-pico or hanja-n [default: hanja-pico]
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Long side of the input in pixels, a multiple of 32, for pictures of 4:3; a model of fixed size keeps that [default: 416]
    #[arg(long, value_name = "PIXELS", conflicts_with = "shape")]
    pub(crate) size: Option<u32>,
    /// The input exactly, for pictures of another shape, for example 640x384
    #[arg(long, value_name = "WxH")]
    pub(crate) shape: Option<Shape>,
    /// What the engine computes with: fp16 or fp32 [default: fp16]
    #[arg(long, value_name = "NAME")]
    pub(crate) precision: Option<String>,
    /// Write the engine to this file and leave the cache alone; for --engine of run and infer
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Most GPU memory for the library to try things in [default: the library's]
    #[arg(long, value_name = "MiB", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) workspace: Option<u32>,
    /// Directory of the engines [default: systemd's, else $XDG_CACHE_HOME/hanja-pipeline, else ~/.cache/hanja-pipeline]
    #[arg(long, value_name = "DIR")]
    pub(crate) engine_cache: Option<PathBuf>,
    /// How the process that does the work is started
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EngineListArgs {
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Directory of the engines [default: systemd's, else $XDG_CACHE_HOME/hanja-pipeline, else ~/.cache/hanja-pipeline]
    #[arg(long, value_name = "DIR")]
    pub(crate) engine_cache: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EnginePruneArgs {
    /// Every engine, whether it fits or not
    #[arg(long)]
    pub(crate) all: bool,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Directory of the engines [default: systemd's, else $XDG_CACHE_HOME/hanja-pipeline, else ~/.cache/hanja-pipeline]
    #[arg(long, value_name = "DIR")]
    pub(crate) engine_cache: Option<PathBuf>,
}

impl EngineBuildArgs {
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        let c = &mut config.infer;
        set_path(&mut c.model, &self.model);
        set_path(&mut c.engine_cache, &self.engine_cache);
        set(&mut c.size, &self.size);
        set(&mut c.precision, &self.precision);
        config.check(Path::new("command line"))
    }
}

impl CaptureArgs {
    pub(crate) fn apply(&self, config: &mut Config) {
        set(&mut config.capture.source, &self.source);
    }
}

impl InferArgs {
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        let c = &mut config.infer;
        set_path(&mut c.model, &self.model);
        set(&mut c.backend, &self.backend);
        c.conf = self.conf.or(c.conf);
        set(&mut c.iou, &self.iou);
        set(&mut c.size, &self.size);
        c.agnostic = self.agnostic.or(c.agnostic);
        c.coarse_size = self.coarse_size.or(c.coarse_size);
        set(&mut c.verify, &self.verify);
        c.threads = self.threads.or(c.threads);
        set_path(&mut c.engine, &self.engine);
        set_path(&mut c.engine_cache, &self.engine_cache);
        set(&mut c.precision, &self.precision);
        config.check(Path::new("command line"))
    }
}

impl RenderArgs {
    pub(crate) fn apply(&self, config: &mut Config) {
        set(&mut config.render.http, &self.http);
        if self.token.is_some() {
            config.render.token.clone_from(&self.token);
        }
    }
}

fn set<T: Clone>(target: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        target.clone_from(value);
    }
}

fn set_path(target: &mut Option<PathBuf>, value: &Option<PathBuf>) {
    if value.is_some() {
        target.clone_from(value);
    }
}

/// The dash that other tools want; here it may be left out.
fn parse_stdout(text: &str) -> Result<(), String> {
    if text == "-" {
        Ok(())
    } else {
        Err(format!(
            "a tap writes to standard output; use: hanja tap ... > {text}"
        ))
    }
}

/// All of it is kept in memory until it is written.
fn parse_trace_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration > Duration::from_secs(600) {
        Err("at most 10m".into())
    } else {
        Ok(duration)
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .or_else(|e| {
            text.parse::<u32>()
                .map(|s| Duration::from_secs(s.into()))
                .map_err(|_| e)
        })
        .map_err(|e| format!("{e}; use for example 10s, 500ms or 2m"))?;
    if duration.is_zero() {
        Err("must be more than nothing".into())
    } else {
        Ok(duration)
    }
}

/// Slower than a picture a minute is no view; faster than the eye is a waste.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if (Duration::from_millis(50)..=Duration::from_secs(60)).contains(&interval) {
        Ok(interval)
    } else {
        Err("must be from 50ms to 60s".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert!(parse_duration("0s").is_err() && parse_duration("soon").is_err());
        assert_eq!(parse_interval("1s"), Ok(Duration::from_secs(1)));
        assert!(parse_interval("1ms").is_err() && parse_interval("2m").is_err());
    }
}
