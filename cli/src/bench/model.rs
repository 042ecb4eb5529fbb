//! `hanja bench model`: milliseconds of models alone, in several backends, at several input sizes. Every round runs every pair once, so that
//! a change of the machine's mood hits all; medians over the rounds are reported.

use crate::args::{BenchArgs, Global};
use hanja_bench::stats;
use hanja_infer::Detector;
use hanja_stage::config::InferConfig;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// How long one pair runs in one round.
const TURN: Duration = Duration::from_millis(400);

#[derive(Debug, Serialize)]
struct Row {
    model: String,
    backend: &'static str,
    size: u32,
    /// Width and height of the model's input for a 640x480 picture.
    input: (usize, usize),
    /// Median over the rounds of each round's median.
    ms: f64,
    /// Median over the rounds of this pair's time over that of the first model in the first backend at the same size.
    ratio: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    threads: usize,
    rounds: u32,
    rows: Vec<Row>,
}

/// One model in one backend at one size, and its median of each round.
struct Pair {
    size: u32,
    /// Index of the first model's pair of the same size.
    base: usize,
    detector: Detector,
    medians: Vec<f64>,
}

pub(super) fn bench(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    let mut config = global.config()?;
    args.infer.apply(&mut config)?;
    let threads = config.infer.threads;
    let mut pairs = load(&config.infer, args)?;
    for round in 1..=args.rounds {
        for pair in &mut pairs {
            let median = turn(&mut pair.detector)?;
            pair.medians.push(median);
        }
        eprintln!("round {round} of {}", args.rounds);
    }
    let row = |pair: &Pair| {
        let base = &pairs[pair.base].medians;
        let ratios = pair.medians.iter().zip(base).map(|(own, base)| own / base);
        let info = pair.detector.model_info();
        Row {
            model: info.name.clone(),
            backend: info.backend.name(),
            size: pair.size,
            input: info.input,
            ms: stats::median(pair.medians.clone()),
            ratio: stats::median(ratios.collect()),
        }
    };
    let report = Report {
        threads: threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into)),
        rounds: args.rounds,
        rows: pairs.iter().map(row).collect(),
    };
    super::print(&report, args)
}

fn load(config: &InferConfig, args: &BenchArgs) -> anyhow::Result<Vec<Pair>> {
    let named: Vec<_> = match &config.model {
        Some(model) if args.models.is_empty() => vec![model.clone()],
        _ if args.models.is_empty() => hanja_infer::BUILT_IN.iter().map(Into::into).collect(),
        _ => args.models.clone(),
    };
    let mut pairs = Vec::new();
    let backends = match args.backends.as_slice() {
        [] => std::slice::from_ref(&config.backend),
        named => named,
    };
    let runs = named
        .iter()
        .flat_map(|m| backends.iter().map(move |b| (m, b)));
    for (model, backend) in runs {
        for (base, &size) in args.sizes.iter().enumerate() {
            let config = InferConfig {
                model: Some(model.clone()),
                backend: backend.clone(),
                size,
                ..config.clone()
            };
            pairs.push(Pair {
                size,
                base,
                detector: Detector::load(&config)?,
                medians: Vec::new(),
            });
        }
    }
    Ok(pairs)
}

/// Runs the model for a while; the median in milliseconds.
fn turn(detector: &mut Detector) -> anyhow::Result<f64> {
    // The first runs bring the model's weights back into the cache.
    detector.bare_loop(640, 480, 3)?;
    let (started, mut times) = (Instant::now(), Vec::new());
    while started.elapsed() < TURN {
        times.extend(
            detector
                .bare_loop(640, 480, 5)?
                .iter()
                .map(|ns| *ns as f64 / 1e6),
        );
    }
    Ok(stats::median(times))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "medians of {} rounds, {} threads; ratio to the first line of the same size",
            self.rounds, self.threads
        )?;
        writeln!(
            f,
            "{:<28} {:<12} {:>5} {:>9} {:>9} {:>7}",
            "model", "backend", "size", "input", "ms", "ratio"
        )?;
        for row in &self.rows {
            let input = format!("{}x{}", row.input.0, row.input.1);
            writeln!(
                f,
                "{:<28} {:<12} {:>5} {input:>9} {:>9.2} {:>7.3}",
                row.model, row.backend, row.size, row.ms, row.ratio
            )?;
        }
        Ok(())
    }
}
