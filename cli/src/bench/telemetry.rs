//! `hanja bench telemetry`: what the histograms, checks and statistics cost. Pipelines with and without them take turns,
//! each on as many frames as the model can take: frames per second and CPU time per frame are compared round by round.
//! On a machine that does other things as well the rounds differ by more than there is to be seen, so the calls that
//! infer makes are timed alone, too.

use super::pipeline::{Bench, GLYPHS, command};
use crate::args::{BenchArgs, Global};
use anyhow::Context;
use hanja_bench::stats::median;
use hanja_record::{DetectionHeader, DetectionRecord, StageName, Times};
use hanja_ring::now_ns;
use hanja_stage::Stage;
use hanja_stage::accounting::RecordCheck;
use hanja_stage::telemetry::{OFF, Reporter};
use serde::Serialize;
use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::process::Stdio;

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
struct Side {
    fps: f64,
    cpu_ms_per_frame: f64,
}

#[derive(Debug, Serialize)]
struct Round {
    on: Side,
    off: Side,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    rounds: Vec<Round>,
    on: Side,
    off: Side,
    /// Medians of the rounds' ratios, on against off.
    fps_ratio: f64,
    cpu_ratio: f64,
    /// The least and the largest ratio of a round: how noisy the machine was.
    fps_ratios: (f64, f64),
    cpu_ratios: (f64, f64),
    /// What infer does about one frame, and once a second.
    calls: Calls,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Calls {
    ns_per_frame: f64,
    us_per_second: f64,
    /// Of it, one look at the clock; a frame is stamped eleven times, with and without telemetry.
    ns_per_stamp: f64,
}

pub(super) fn bench(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    let mut bench = Bench::new(global, args, GLYPHS)?;
    let calls = calls(bench.dir())?;
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let (_, source) = bench.bare()?;
        let run = |on| side(args, bench.dir(), &source, on);
        // In turn first, so that what drifts hits both.
        let (on, off) = if round % 2 == 1 {
            let on = run(true)?;
            (on, run(false)?)
        } else {
            let off = run(false)?;
            (run(true)?, off)
        };
        eprintln!(
            "round {round}: on {:.1} fps, {:.2} ms CPU a frame; off {:.1} fps, {:.2} ms",
            on.fps, on.cpu_ms_per_frame, off.fps, off.cpu_ms_per_frame
        );
        rounds.push(Round { on, off });
    }
    super::print(&report(bench.model, rounds, calls), args)
}

fn report(model: String, rounds: Vec<Round>, calls: Calls) -> Report {
    let of = |f: &dyn Fn(&Round) -> f64| rounds.iter().map(f).collect::<Vec<_>>();
    let side = |of_round: fn(&Round) -> Side| Side {
        fps: median(of(&|r| of_round(r).fps)),
        cpu_ms_per_frame: median(of(&|r| of_round(r).cpu_ms_per_frame)),
    };
    let fps = of(&|r| r.on.fps / r.off.fps);
    let cpu = of(&|r| r.on.cpu_ms_per_frame / r.off.cpu_ms_per_frame);
    let range = |values: &[f64]| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        (least, values.iter().copied().fold(0.0, f64::max))
    };
    Report {
        model,
        on: side(|r| r.on),
        off: side(|r| r.off),
        fps_ratios: range(&fps),
        cpu_ratios: range(&cpu),
        fps_ratio: median(fps),
        cpu_ratio: median(cpu),
        calls,
        rounds,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fps, cpu, calls) = (self.fps_ratios, self.cpu_ratios, self.calls);
        writeln!(
            f,
            "telemetry on: {:.1} fps, {:.3} ms CPU a frame; off: {:.1} fps, {:.3} ms (medians of {} rounds)",
            self.on.fps,
            self.on.cpu_ms_per_frame,
            self.off.fps,
            self.off.cpu_ms_per_frame,
            self.rounds.len()
        )?;
        writeln!(
            f,
            "on / off: fps {:.4} ({:.3} to {:.3}), CPU {:.4} ({:.3} to {:.3}); wanted: at least 0.99 and at most 1.01",
            self.fps_ratio, fps.0, fps.1, self.cpu_ratio, cpu.0, cpu.1
        )?;
        let share = calls.ns_per_frame * self.on.fps / 1e9 + calls.us_per_second / 1e6;
        writeln!(
            f,
            "infer's calls alone: {:.0} ns a frame and {:.0} µs a second, {:.4} % of a core; one stamp {:.0} ns",
            calls.ns_per_frame,
            calls.us_per_second,
            100.0 * share,
            calls.ns_per_stamp
        )
    }
}

/// One run of the real thing.
fn side(args: &BenchArgs, dir: &Path, source: &str, on: bool) -> anyhow::Result<Side> {
    let summary = dir.join("summary.json");
    let mut command = command(args, dir, source, "off", &summary)?;
    command.env(OFF, if on { "on" } else { "off" });
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let before = childrens_cpu_ms()?;
    let status = command.spawn()?.wait()?;
    anyhow::ensure!(status.success(), "the pipeline ended with {status}");
    let cpu_ms = childrens_cpu_ms()? - before;
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&summary)?)?;
    let number = |v: &serde_json::Value| v.as_f64().filter(|n| *n > 0.0);
    let inferred = number(&json["frames"]["inferred"]).context("nothing was inferred")?;
    Ok(Side {
        // From the stage's own clock: the model's loading is not part of the rate.
        fps: number(&json["fps"]["infer"]).context("no rate in the summary")?,
        cpu_ms_per_frame: cpu_ms / inferred,
    })
}

/// CPU time of all children that have been waited for, and of theirs.
fn childrens_cpu_ms() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let ticks: Option<u64> = stat.rsplit_once(')').and_then(|(_, fields)| {
        // Fields 16 and 17: user and system time of the children.
        let mut fields = fields.split_ascii_whitespace().skip(13);
        let (user, system) = (fields.next()?, fields.next()?);
        Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
    });
    let ticks = ticks.context("/proc/self/stat cannot be read")?;
    Ok(ticks as f64 * 1000.0 / rustix::param::clock_ticks_per_second() as f64)
}

/// The calls of infer's frame loop, on a record like any.
fn calls(dir: &Path) -> anyhow::Result<Calls> {
    const FRAMES: u64 = 200_000;
    const REPORTS: u32 = 200;
    let stage = Stage::start(StageName::Infer, &dir.join("calls"))?;
    let mut reporter = Reporter::new(&stage, "the calls alone")?;
    let mut check = RecordCheck::default();
    let started = now_ns();
    for n in 1..=FRAMES {
        let head = head(n);
        for (id, from, to) in black_box(&head.times).infer_metrics() {
            reporter.record(id, from, to);
        }
        reporter.frame(head.times.sensor);
        reporter.check(check.check(&head));
    }
    let ns_per_frame = (now_ns() - started) as f64 / FRAMES as f64;
    let started = now_ns();
    for _ in 0..REPORTS {
        reporter.finish();
    }
    let us_per_second = (now_ns() - started) as f64 / 1e3 / f64::from(REPORTS);
    let started = now_ns();
    for _ in 0..FRAMES {
        black_box(now_ns());
    }
    Ok(Calls {
        ns_per_frame,
        us_per_second,
        ns_per_stamp: (now_ns() - started) as f64 / FRAMES as f64,
    })
}

/// The head of record `n`: 24 ms from sensor to published, give or take.
fn head(n: u64) -> DetectionHeader {
    let mut head = DetectionRecord::default().header;
    (head.generation, head.frame_generation, head.frame_seq) = (1, 1, n);
    head.inferred_total = n;
    let sensor = n * 33_000_000;
    let at = |us: u64| sensor + us * 1000 + n % 977 * 100;
    head.times = Times {
        sensor,
        dequeued: at(40),
        published: at(300),
        acquired: at(400),
        preprocessed: at(1_500),
        submitted: at(1_501),
        inferred: at(23_000),
        postprocessed: at(23_100),
        detections_published: at(23_110),
        ..Times::default()
    };
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_rounds_and_say_how_noisy() {
        let side = |fps, cpu_ms_per_frame| Side {
            fps,
            cpu_ms_per_frame,
        };
        let round = |on, off| Round { on, off };
        let rounds = vec![
            round(side(99.0, 10.0), side(100.0, 10.0)),
            round(side(50.0, 20.2), side(50.0, 20.0)),
            round(side(80.0, 10.0), side(100.0, 8.0)),
        ];
        let calls = Calls {
            ns_per_frame: 200.0,
            us_per_second: 100.0,
            ns_per_stamp: 25.0,
        };
        let r = report("a model".into(), rounds, calls);
        assert!(
            (r.fps_ratio - 0.99).abs() < 1e-9 && (r.cpu_ratio - 1.01).abs() < 1e-9,
            "{r:?}"
        );
        assert_eq!((r.fps_ratios.0, r.cpu_ratios.1), (0.8, 1.25));
        assert_eq!((r.on.fps, r.off.fps), (80.0, 100.0));
        let text = r.to_string();
        assert!(
            text.contains("0.99") && text.contains("200 ns a frame"),
            "{text}"
        );
    }

    #[test]
    fn the_calls_find_nothing_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let c = calls(dir.path()).unwrap();
        assert!(
            c.ns_per_frame > 0.0 && c.us_per_second > 0.0 && c.ns_per_stamp > 0.0,
            "{c:?}"
        );
        let mut check = RecordCheck::default();
        for n in 1..3 {
            assert_eq!(check.check(&head(n)), Ok(()));
        }
        assert!(childrens_cpu_ms().unwrap() >= 0.0);
    }
}
