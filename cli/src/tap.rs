//! `hanja tap`: what passes through a ring, on standard output. A tap writes nothing to shared memory; it can be
//! slow, stopped or killed without the pipeline noticing. It survives restarts of the stage it reads.

mod csv;

use crate::args::{FrameFormat, Global, TapArgs, TapTopic};
use anyhow::Context;
use hanja_record::json::{FrameJson, RecordJson, StatsJson};
use hanja_record::{DetectionRecord, FrameMeta, FrameRef, PixelFormat, StageStats, Taps, Topic};
use hanja_render::picture::{to_i420, to_jpeg};
use hanja_ring::{Sample, TapSubscriber};
use hanja_stage::logging;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use zerocopy::FromBytes;

const LOOK: Duration = Duration::from_millis(100);
/// How long the frame rate is measured before a Y4M stream begins, and how long at most.
const RATE_LOOK: Duration = Duration::from_millis(500);
const RATE_PATIENCE: Duration = Duration::from_millis(2500);

pub(crate) fn tap(global: &Global, args: &TapArgs) -> anyhow::Result<()> {
    // What is wrong with a stage that is there but cannot be read.
    let level = global.log.as_deref().unwrap_or("warn");
    logging::start(Some(level), None)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let dir = global.reading_dir();
    let mut taps = topic(args.topic).taps(&dir);
    let mut writer = Writer {
        args,
        dir: &dir,
        stop: &stop,
        out: io::stdout().lock(),
        y4m: None,
        sample: Sample::default(),
        trouble: Trouble::default(),
    };
    if args.csv {
        writer.csv(|rows| header(rows, args.topic))?;
    }
    let mut patience = Patience::new(&dir, args.topic);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) && args.count.is_none_or(|most| count < most) {
        let wait = LOOK / taps.len() as u32;
        for tap in &mut taps {
            // Frames: newest wins, a slow reader skips. Records are small: in order, none left out.
            let got = match args.topic {
                TapTopic::Frames => tap.newest(&mut writer.sample, wait),
                _ => tap.next(&mut writer.sample, wait),
            };
            if got && args.count.is_none_or(|most| count < most) {
                patience.got_something();
                let missed = writer.sample.lapped;
                if missed > 0 {
                    let what = format!("missed {missed} records: this reader is too slow");
                    writer.trouble.say(&what);
                }
                count += u64::from(writer.write()?);
            }
        }
        patience.check(&taps);
    }
    writer.out.flush()?;
    Ok(())
}

fn header(rows: &mut csv::Rows, topic: TapTopic) -> anyhow::Result<()> {
    match topic {
        TapTopic::Frames => rows.frames_header(),
        TapTopic::Stats => rows.stats_header(),
        TapTopic::Detections | TapTopic::Truth | TapTopic::Presented => rows.detections_header(),
    }
}

fn topic(topic: TapTopic) -> Topic {
    match topic {
        TapTopic::Detections => Topic::Detections,
        TapTopic::Frames => Topic::Frames,
        TapTopic::Stats => Topic::Stats,
        TapTopic::Truth => Topic::Truth,
        TapTopic::Presented => Topic::Presented,
    }
}

/// Says once that there is nothing to read, and how that can be changed.
struct Patience<'a> {
    dir: &'a Path,
    topic: TapTopic,
    since: Option<Instant>,
}

impl<'a> Patience<'a> {
    fn new(dir: &'a Path, topic: TapTopic) -> Self {
        Self {
            dir,
            topic,
            since: Some(Instant::now()),
        }
    }

    fn got_something(&mut self) {
        self.since = None;
    }

    fn check(&mut self, taps: &[TapSubscriber]) {
        if self
            .since
            .is_some_and(|t| t.elapsed() > Duration::from_secs(1))
        {
            self.since = None;
            // Somebody is there. What is wrong with them has been said.
            if taps.iter().any(|t| t.attached() || t.complained()) {
                return;
            }
            let extra = if self.topic == TapTopic::Truth {
                " --source 'synth:?truth=1'"
            } else {
                ""
            };
            eprintln!(
                "hanja: nothing to tap in {} yet, waiting; start it with: hanja run{extra}, or name its directory with --runtime-dir",
                self.dir.display()
            );
        }
    }
}

/// What is wrong with single records, at most once a second: a stage gone mad is no reason to stop, nor to flood.
#[derive(Default)]
struct Trouble {
    said: Option<Instant>,
    silent: u64,
}

impl Trouble {
    fn say(&mut self, what: &str) {
        let recent = |t: Instant| t.elapsed() < Duration::from_secs(1);
        if self.said.is_some_and(recent) {
            self.silent += 1;
            return;
        }
        let more = match std::mem::take(&mut self.silent) {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        eprintln!("hanja: {what}{more}");
        self.said = Some(Instant::now());
    }
}

struct Writer<'a, W> {
    args: &'a TapArgs,
    dir: &'a Path,
    stop: &'a AtomicBool,
    out: W,
    /// Size and format of the Y4M stream, fixed by its first frame.
    y4m: Option<(u32, u32)>,
    sample: Sample,
    trouble: Trouble,
}

impl<W: Write> Writer<'_, W> {
    /// Writes the sample; false if it was left out, which is said. An error is one of writing.
    fn write(&mut self) -> anyhow::Result<bool> {
        let bytes = &self.sample.payload;
        let unreadable = match self.args.topic {
            TapTopic::Frames => return self.frame(),
            TapTopic::Detections | TapTopic::Truth | TapTopic::Presented => {
                match DetectionRecord::from_bytes(bytes) {
                    Ok(record) => return self.detections(&record).map(|()| true),
                    Err(e) => e,
                }
            }
            TapTopic::Stats => match StageStats::from_bytes(bytes) {
                Ok(stats) => {
                    let description = stats.words_in(bytes);
                    return self.stats(&stats, &description).map(|()| true);
                }
                Err(e) => e,
            },
        };
        let seq = self.sample.seq;
        self.trouble
            .say(&format!("record {seq} left out: {unreadable}"));
        Ok(false)
    }

    fn detections(&mut self, record: &DetectionRecord) -> anyhow::Result<()> {
        if self.args.csv {
            return self.csv(|rows| rows.detections(record));
        }
        let json = RecordJson::new(record);
        if self.args.json {
            self.line(&json)
        } else {
            let found: Vec<_> = json
                .detections
                .iter()
                .map(|d| format!("{} {:.2}", d.label, d.score))
                .collect();
            let (seq, ms) = (record.header.frame_seq, record.header.times.end_to_end_ms());
            writeln!(self.out, "frame {seq}  {ms:.1} ms  {}", found.join("  "))?;
            Ok(self.out.flush()?)
        }
    }

    fn stats(&mut self, stats: &StageStats, description: &str) -> anyhow::Result<()> {
        if self.args.csv {
            return self.csv(|rows| rows.stats(stats));
        }
        let json = StatsJson::new(stats, description);
        if self.args.json {
            self.line(&json)
        } else {
            let rss = f64::from(stats.rss_kib) / 1024.0;
            writeln!(
                self.out,
                "{:8} {:6.1} fps  {rss:6.1} MiB  {}",
                json.stage,
                stats.fps(),
                stats.what()
            )?;
            Ok(self.out.flush()?)
        }
    }

    fn frame(&mut self) -> anyhow::Result<bool> {
        let Ok((meta, _)) = FrameMeta::read_from_prefix(&self.sample.meta) else {
            return self.left_out("it has no metadata: use the same release on both sides");
        };
        if self.args.json {
            self.line(&FrameJson::new(&meta))?;
            return Ok(true);
        }
        if self.args.csv {
            return self.csv(|rows| rows.frame(&meta)).map(|()| true);
        }
        let Some(format) = meta.format() else {
            return self.left_out(format!("unknown pixel format {:#010x}", meta.fourcc));
        };
        let frame = FrameRef {
            format,
            width: meta.width,
            height: meta.height,
            stride: meta.stride,
            bytes: &self.sample.payload,
        };
        match self.args.format {
            FrameFormat::Raw => self.out.write_all(&self.sample.payload)?,
            FrameFormat::Jpeg if format == PixelFormat::Mjpg => {
                self.out.write_all(&self.sample.payload)?
            }
            FrameFormat::Jpeg => match to_jpeg(&frame, 90) {
                Ok(jpeg) => self.out.write_all(&jpeg)?,
                Err(e) => return self.left_out(e),
            },
            FrameFormat::Y4m => match to_i420(&frame) {
                Ok(planes) => self.y4m((meta.width, meta.height), &planes)?,
                Err(e) => return self.left_out(e),
            },
        }
        self.out.flush()?;
        Ok(true)
    }

    fn left_out(&mut self, why: impl std::fmt::Display) -> anyhow::Result<bool> {
        let seq = self.sample.seq;
        self.trouble.say(&format!("frame {seq} left out: {why}"));
        Ok(false)
    }

    fn y4m(&mut self, (w, h): (u32, u32), planes: &[u8]) -> anyhow::Result<()> {
        if self.y4m.is_none() {
            let rate = y4m_rate(measure_fps(self.dir, self.stop));
            writeln!(self.out, "YUV4MPEG2 W{w} H{h} F{rate} Ip A1:1 C420jpeg")?;
        }
        anyhow::ensure!(
            *self.y4m.get_or_insert((w, h)) == (w, h),
            "the frame size changed to {w}x{h}, which Y4M cannot hold; start the tap again"
        );
        self.out.write_all(b"FRAME\n")?;
        Ok(self.out.write_all(planes)?)
    }

    /// Rows, at once.
    fn csv(
        &mut self,
        fill: impl FnOnce(&mut csv::Rows) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut rows = csv::Rows::new();
        fill(&mut rows)?;
        self.out
            .write_all(rows.bytes())
            .context("writing to standard output")?;
        Ok(self.out.flush()?)
    }

    /// One JSON object on a line of its own, at once: the reader may be a robot.
    fn line(&mut self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(value)?;
        text.push('\n');
        self.out
            .write_all(text.as_bytes())
            .context("writing to standard output")?;
        self.out.flush()?;
        Ok(())
    }
}

/// Frames per second of the source, from the times and numbers it gave its frames: half a second of them, or two frames
/// if they are rare. `None` if it does not deliver.
fn measure_fps(dir: &Path, stop: &AtomicBool) -> Option<f64> {
    let mut tap = Taps::new(dir).frames;
    let mut sample = Sample::default();
    let begin = Instant::now();
    let mut first: Option<FrameMeta> = None;
    let mut fps = None;
    let enough = |fps: Option<f64>| {
        if fps.is_some() {
            RATE_LOOK
        } else {
            RATE_PATIENCE
        }
    };
    while begin.elapsed() < enough(fps) && !stop.load(Ordering::Relaxed) {
        if tap.peek_newest(&mut sample, LOOK).is_none() {
            continue;
        }
        let (meta, _) = FrameMeta::read_from_prefix(&sample.meta).ok()?;
        let first = first.get_or_insert(meta);
        let frames = meta.driver_seq.saturating_sub(first.driver_seq);
        let ns = meta.t_sensor.saturating_sub(first.t_sensor);
        if meta.generation != first.generation {
            *first = meta; // a new ring: begin again
        } else if frames > 0 && ns > 0 {
            fps = Some(frames as f64 * 1e9 / ns as f64);
        }
    }
    fps
}

/// As Y4M writes it. Cameras keep whole numbers within their jitter; 0:0 is the format's "unknown".
fn y4m_rate(fps: Option<f64>) -> String {
    match fps {
        Some(fps) if fps >= 1.0 && (fps / fps.round() - 1.0).abs() < 0.02 => {
            format!("{}:1", fps.round())
        }
        Some(fps) => format!("{}:1000", (fps * 1000.0).round()),
        None => "0:0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_as_y4m_writes_them() {
        for (fps, text) in [
            (Some(30.0), "30:1"),
            (Some(29.6), "30:1"),
            (Some(239.1), "239:1"),
            (Some(12.5), "12500:1000"),
            (Some(0.5), "500:1000"),
            (None, "0:0"),
        ] {
            assert_eq!(y4m_rate(fps), text, "{fps:?}");
        }
    }
}
