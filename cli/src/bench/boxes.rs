//! `hanja bench boxes`: frames per second do not fall when something is found. The whole pipeline with the web view open
//! looks at the same page of characters with a threshold that nothing reaches and with one that gives the most boxes a
//! frame may have, in turn, round by round, as fast as the model can. Suppression is off, so that every later step
//! (second look, record, ring, JSON) has them all. The frames are the same, for a page costs render more than empty
//! paper, whatever is found on it: its JPEG is larger.

use super::pipeline::{Bench, watched};
use crate::args::{BenchArgs, Global};
use anyhow::Context;
use hanja_bench::stats::median;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Characters on the full page: the most that the synthetic source draws.
const FULL: u32 = 24;
/// Many boxes a character.
const FLAGS: [&str; 2] = ["--iou=1", "--agnostic=false"];
/// Thresholds.
const NOTHING: &str = "--conf=0.999999";
const EVERYTHING: &str = "--conf=0.1";

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
struct Side {
    fps: f64,
    boxes_per_frame: f64,
    latency_p50_ms: f64,
}

#[derive(Debug, Serialize)]
struct Round {
    none: Side,
    full: Side,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    rounds: Vec<Round>,
    none: Side,
    full: Side,
    /// Median of the rounds' ratios, full against none.
    fps_ratio: f64,
}

pub(super) fn bench(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    let mut bench = Bench::new(global, args, FULL)?;
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let (_, source) = bench.bare()?;
        let run = |conf| side(args, bench.dir(), &source, conf);
        // In turn first, so that what drifts hits both.
        let (none, full) = if round % 2 == 1 {
            let none = run(NOTHING)?;
            (none, run(EVERYTHING)?)
        } else {
            let full = run(EVERYTHING)?;
            (run(NOTHING)?, full)
        };
        eprintln!(
            "round {round}: {:.1} fps without a box, {:.1} fps with {:.0} a frame",
            none.fps, full.fps, full.boxes_per_frame
        );
        rounds.push(Round { none, full });
    }
    super::print(&report(bench.model, rounds), args)
}

fn report(model: String, rounds: Vec<Round>) -> Report {
    let of = |f: &dyn Fn(&Round) -> f64| median(rounds.iter().map(f).collect());
    let side = |of_round: fn(&Round) -> Side| Side {
        fps: of(&|r| of_round(r).fps),
        boxes_per_frame: of(&|r| of_round(r).boxes_per_frame),
        latency_p50_ms: of(&|r| of_round(r).latency_p50_ms),
    };
    Report {
        model,
        none: side(|r| r.none),
        full: side(|r| r.full),
        fps_ratio: of(&|r| r.full.fps / r.none.fps),
        rounds,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (none, full) = (self.none, self.full);
        writeln!(
            f,
            "{:.1} fps at {:.1} boxes a frame, p50 {:.1} ms; {:.1} fps at {:.1}, p50 {:.1} ms; ratio {:.3} (medians of {} rounds)",
            none.fps,
            none.boxes_per_frame,
            none.latency_p50_ms,
            full.fps,
            full.boxes_per_frame,
            full.latency_p50_ms,
            self.fps_ratio,
            self.rounds.len()
        )
    }
}

/// One run of the real thing, with one viewer.
fn side(args: &BenchArgs, dir: &Path, source: &str, conf: &str) -> anyhow::Result<Side> {
    let [iou, agnostic] = FLAGS;
    let (json, _) = watched(args, dir, source, &[iou, agnostic, conf])?;
    let number = |of: &str| {
        json.pointer(of)
            .and_then(serde_json::Value::as_f64)
            .with_context(|| format!("no {of} in the summary"))
    };
    Ok(Side {
        fps: number("/fps/infer")?,
        boxes_per_frame: number("/detections")? / number("/frames/inferred")?.max(1.0),
        latency_p50_ms: number("/end_to_end_ms/p50")?,
    })
}
