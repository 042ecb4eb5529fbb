//! `hanja bench pipeline`: what the pipeline costs beside the model. The bare loop (the backend alone on one input,
//! all cores) and the whole pipeline (three processes, rings, web view open) take turns in one run, so that a change
//! of the machine's mood hits both; medians and their ratio are reported.

use crate::args::{BenchArgs, Global};
use anyhow::Context;
use hanja_bench::stats;
use hanja_infer::Detector;
use serde::Serialize;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough that start-up does not count.
pub(super) const ROUND: Duration = Duration::from_secs(8);
/// Frames of the clip.
const CLIP_FRAMES: u32 = 60;
/// Numerals on a frame.
pub(super) const GLYPHS: u32 = 3;
/// How fast it is played, as a multiple of what the bare model does: more than the engine can take, so that the engine
/// is the limit, and not much more, since frames that nobody looks at cost capture as much as others.
const CLIP_SPEED: f64 = 1.1;

#[derive(Debug, Serialize)]
struct Round {
    bare_fps: f64,
    pipeline_fps: f64,
    pictures_per_second: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    source: String,
    model: String,
    rounds: Vec<Round>,
    bare_fps: f64,
    pipeline_fps: f64,
    ratio: f64,
}

/// What every benchmark of whole pipelines begins with.
pub(super) struct Bench {
    /// For the bare model.
    detector: Detector,
    /// What the model says of itself.
    pub(super) model: String,
    scratch: TempDir,
    clip: PathBuf,
}

impl Bench {
    /// Loads the model and records a clip with `glyphs` numerals on each frame.
    pub(super) fn new(global: &Global, args: &BenchArgs, glyphs: u32) -> anyhow::Result<Self> {
        let mut config = global.config()?;
        args.infer.apply(&mut config)?;
        let detector = Detector::load(&config.infer)?;
        let scratch = tempfile::tempdir().context("cannot make a directory for the runs")?;
        let clip = scratch.path().join("clip.y4m");
        record_clip(scratch.path(), glyphs, &clip)?;
        Ok(Self {
            model: detector.model_info().to_string(),
            detector,
            scratch,
            clip,
        })
    }

    /// A directory for the runs.
    pub(super) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// One round of the bare model: its frames per second, and the clip as a source that is somewhat faster.
    pub(super) fn bare(&mut self) -> anyhow::Result<(f64, String)> {
        let fps = bare(&mut self.detector)?;
        Ok((fps, clip_source(&self.clip, fps)))
    }
}

pub(super) fn bench(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    let mut bench = Bench::new(global, args, GLYPHS)?;
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let (bare_fps, source) = bench.bare()?;
        let (pipeline_fps, pictures_per_second) = pipeline(args, bench.dir(), &source)?;
        let ratio = pipeline_fps / bare_fps;
        eprintln!(
            "round {round}: bare {bare_fps:.1} fps, pipeline {pipeline_fps:.1} fps with {pictures_per_second:.1} pictures/s viewed, ratio {ratio:.3}"
        );
        rounds.push(Round {
            bare_fps,
            pipeline_fps,
            pictures_per_second,
        });
    }
    let median = |f: fn(&Round) -> f64| stats::median(rounds.iter().map(f).collect());
    let report = Report {
        source: format!(
            "640x480 YU12 clip of synth:?seed=1 at {CLIP_SPEED} x the bare model's fps"
        ),
        model: bench.model,
        bare_fps: median(|r| r.bare_fps),
        pipeline_fps: median(|r| r.pipeline_fps),
        ratio: median(|r| r.pipeline_fps / r.bare_fps),
        rounds,
    };
    super::print(&report, args)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "bare model {:.1} fps, whole pipeline with the web view open {:.1} fps, ratio {:.3} (medians of {} rounds)",
            self.bare_fps,
            self.pipeline_fps,
            self.ratio,
            self.rounds.len()
        )
    }
}

fn bare(detector: &mut Detector) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut runs = 0u32;
    while started.elapsed() < ROUND {
        runs += detector.bare_loop(640, 480, 10)?.len() as u32;
    }
    Ok(f64::from(runs) / started.elapsed().as_secs_f64())
}

/// Draws the frames beforehand, with `glyphs` numerals on each: a camera costs no CPU, drawing does.
fn record_clip(dir: &Path, glyphs: u32, clip: &Path) -> anyhow::Result<()> {
    let (exe, run) = (std::env::current_exe()?, dir.join("run"));
    let source = format!("--source=synth:?size=640x480&fps=120&seed=1&glyphs={glyphs}");
    let mut capture = Command::new(&exe)
        .arg("capture")
        .arg(source)
        .arg("--runtime-dir")
        .arg(&run)
        .stderr(Stdio::null())
        .spawn()?;
    let count = format!("--count={CLIP_FRAMES}");
    let tap = Command::new(&exe)
        .args(["tap", "frames", "--format=y4m", &count])
        .arg("--runtime-dir")
        .arg(&run)
        .stdout(std::fs::File::create(clip)?)
        .status();
    capture.kill()?;
    capture.wait()?;
    anyhow::ensure!(tap?.success(), "the clip could not be recorded");
    Ok(())
}

/// The clip, somewhat faster than the bare model.
fn clip_source(clip: &Path, bare_fps: f64) -> String {
    let fps = CLIP_SPEED * bare_fps;
    format!("file:{}?fps={fps:.0}&loop=1", clip.display())
}

/// `hanja run` for one round, with the model and backend that the benchmark was asked for.
pub(super) fn command(
    args: &BenchArgs,
    dir: &Path,
    source: &str,
    http: &str,
    summary: &Path,
) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("run")
        .arg(format!("--source={source}"))
        .arg(format!("--http={http}"))
        .arg(format!("--duration={}ms", ROUND.as_millis()))
        .args(["--summary".as_ref(), summary.as_os_str()])
        .arg("--runtime-dir")
        .arg(dir.join("run"));
    let a = &args.infer;
    let numbers = [
        ("--size", a.size.map(|v| v.to_string())),
        ("--conf", a.conf.map(|v| v.to_string())),
        ("--threads", a.threads.map(|v| v.to_string())),
        ("--model", a.model.as_ref().map(|m| m.display().to_string())),
    ];
    for (flag, value) in numbers {
        if let Some(value) = value {
            command.arg(format!("{flag}={value}"));
        }
    }
    Ok(command)
}

/// One run of the real thing, as a user starts it, with one viewer.
fn pipeline(args: &BenchArgs, dir: &Path, source: &str) -> anyhow::Result<(f64, f64)> {
    let (summary, pictures) = watched(args, dir, source, &[])?;
    let fps = infer_fps(&summary)?;
    Ok((fps, f64::from(pictures) / ROUND.as_secs_f64()))
}

/// One run with more flags and one viewer: its summary, and the pictures that the viewer got.
pub(super) fn watched(
    args: &BenchArgs,
    dir: &Path,
    source: &str,
    flags: &[&str],
) -> anyhow::Result<(serde_json::Value, u32)> {
    let summary = dir.join("summary.json");
    let mut child = command(args, dir, source, "127.0.0.1:0", &summary)?
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().context("no pipe")?;
    let viewer = std::thread::spawn(move || view(stderr));
    let status = child.wait()?;
    let pictures = viewer
        .join()
        .map_err(|_| anyhow::anyhow!("the viewer died"))?;
    anyhow::ensure!(status.success(), "the pipeline ended with {status}");
    Ok((serde_json::from_slice(&std::fs::read(&summary)?)?, pictures))
}

fn infer_fps(json: &serde_json::Value) -> anyhow::Result<f64> {
    let inferred = json["frames"]["inferred"]
        .as_f64()
        .context("no count in the summary")?;
    // From the stage's own clock: the model's loading is not part of the rate.
    json["fps"]["infer"]
        .as_f64()
        .filter(|_| inferred > 0.0)
        .context("nothing was inferred")
}

/// Finds the address in the log, opens the stream as a browser would, counts pictures until it ends.
fn view(log: impl Read + Send + 'static) -> u32 {
    let mut pictures = 0;
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let address = lines.by_ref().find_map(|line| {
        let rest = line.split_once("http://")?.1;
        Some(rest.split('/').next().unwrap_or(rest).to_owned())
    });
    let drain = std::thread::spawn(move || lines.for_each(drop));
    if let Some(stream) = address.and_then(|a| TcpStream::connect(a).ok()) {
        pictures = count_pictures(stream).unwrap_or(0);
    }
    let _ = drain.join();
    pictures
}

fn count_pictures(mut stream: TcpStream) -> std::io::Result<u32> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut pictures = 0;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Ok(pictures),
            Ok(_) => {
                pictures += u32::from(
                    line.to_ascii_lowercase()
                        .starts_with(b"content-type: image/jpeg"),
                )
            }
        }
    }
}
