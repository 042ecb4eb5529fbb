//! `hanja trace`: some seconds of the pipeline as a trace that Perfetto and Chrome show: a track per process, a slice
//! per frame and step, arrows along each frame's way. From taps alone, so that tracing changes nothing.

mod events;
mod lanes;

use crate::args::{Global, TraceArgs};
use anyhow::{Context, bail};
use hanja_record::{DetectionRecord, FrameMeta, StageStats, Taps, Times};
use hanja_ring::{Sample, now_ns};
use hanja_stage::liveness::{Observer, State};
use hanja_stage::logging;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use zerocopy::FromBytes;

/// Longest wait for one topic before the others are looked at: a frames ring of eight slots is lapped in 8 ms by a
/// source of 1000 frames a second.
const LOOK: Duration = Duration::from_millis(2);
/// What left the sensor within the time is followed to its end for so long.
const AFTER: Duration = Duration::from_millis(500);
/// A stage that runs answers within this.
const PATIENCE: Duration = Duration::from_millis(500);

/// Which frame: generation and number.
type FrameId = (u64, u64);

/// What is known of a frame beyond its metadata.
#[derive(Debug)]
struct Look {
    times: Times,
    status: u16,
    /// How many, and the best in words.
    detections: usize,
    found: String,
}

/// Everything that was seen.
#[derive(Debug, Default)]
struct Seen {
    frames: BTreeMap<FrameId, FrameMeta>,
    looks: BTreeMap<FrameId, Look>,
    stats: Vec<StageStats>,
    /// Overwritten before they could be read.
    missed: u64,
}

pub(crate) fn trace(global: &Global, args: &TraceArgs) -> anyhow::Result<()> {
    let level = global.log.as_deref().unwrap_or("warn");
    logging::start(Some(level), None)?;
    let dir = global.reading_dir();
    let live = Observer::new(&dir).judge(PATIENCE);
    if live.overall.state == State::NotRunning && live.stages.capture.state == State::NotRunning {
        let (message, remedy) = (&live.overall.message, &live.overall.remedy);
        bail!("nothing to trace in {}: {message}; {remedy}", dir.display());
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let from = now_ns();
    let mut seen = collect(&dir, args.duration, &stop);
    // Interrupted: what there is.
    let to = now_ns().min(from + u64::try_from(args.duration.as_nanos()).unwrap_or(u64::MAX));
    seen.frames
        .retain(|_, f| (from..to).contains(&f.t_published));
    seen.looks.retain(|id, _| seen.frames.contains_key(id));
    if seen.frames.is_empty() {
        let why = &live.overall.message;
        bail!(
            "no frame came in {:.1} s: {why}; look with: hanja status",
            (to - from) as f64 / 1e9
        );
    }
    write(args, &events::json(&seen, (from, to)))?;
    let (frames, looks, missed) = (seen.frames.len(), seen.looks.len(), seen.missed);
    eprintln!(
        "hanja: {frames} frames, {looks} with a record, {missed} missed; open the file at https://ui.perfetto.dev or in chrome://tracing"
    );
    Ok(())
}

fn write(args: &TraceArgs, json: &str) -> anyhow::Result<()> {
    if args.out == Path::new("-") {
        return Ok(std::io::stdout().write_all(json.as_bytes())?);
    }
    std::fs::write(&args.out, json).with_context(|| format!("cannot write {}", args.out.display()))
}

fn collect(dir: &Path, duration: Duration, stop: &AtomicBool) -> Seen {
    let mut taps = Taps::new(dir);
    let (mut seen, mut sample) = (Seen::default(), Sample::default());
    let end = Instant::now() + duration + AFTER;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        let mut wait = LOOK;
        while taps.frames.peek_next(&mut sample, wait).is_some() {
            wait = Duration::ZERO;
            seen.frame(&sample);
        }
        for tap in [&mut taps.records, &mut taps.presented] {
            while tap.next(&mut sample, Duration::ZERO) {
                seen.record(&sample);
            }
        }
        for tap in &mut taps.stats {
            if tap.next(&mut sample, Duration::ZERO)
                && let Ok(stats) = StageStats::from_bytes(&sample.payload)
            {
                seen.stats.push(stats);
            }
        }
    }
    seen
}

impl Seen {
    fn frame(&mut self, sample: &Sample) {
        self.missed = self.missed.saturating_add(sample.lapped);
        if let Ok((meta, _)) = FrameMeta::read_from_prefix(&sample.meta) {
            // By what the ring says, whatever the metadata claims.
            self.frames.insert((sample.generation, sample.seq), meta);
        }
    }

    fn record(&mut self, sample: &Sample) {
        self.missed = self.missed.saturating_add(sample.lapped);
        let Ok(record) = DetectionRecord::from_bytes(&sample.payload) else {
            return;
        };
        let header = &record.header;
        let id = (header.frame_generation, header.frame_seq);
        // The one that knows more: render's comes later, and may be all that comes.
        let known = self.looks.get(&id);
        if known.is_some_and(|known| known.times.render_acquired >= header.times.render_acquired) {
            return;
        }
        let look = Look {
            times: header.times,
            status: header.status,
            detections: record.detections.len(),
            found: crate::run::labels(&record, 6),
        };
        self.looks.insert(id, look);
    }
}
