//! `hanja-model eval` on the command line.

use anyhow::Context;
use clap::Args;
use hanja_common::config::InferConfig;
use hanja_model::eval;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// Data set: a folder with images/ and labels/ in YOLO form
    #[arg(long)]
    data: PathBuf,
    /// ONNX model to run; without it, the one inside the executable
    #[arg(long, conflicts_with = "detections")]
    model: Option<PathBuf>,
    /// Instead of running a model: the output of 'hanja detect --json --conf 0.001' on images/
    #[arg(long)]
    detections: Option<PathBuf>,
    /// Operating threshold for precision, recall and false positives (average precision uses every
    /// detection); the product's default
    #[arg(long, default_value_t = InferConfig::default().conf)]
    conf: f32,
    /// Overlap above which the weaker of two boxes of one class is dropped
    #[arg(long, default_value_t = InferConfig::default().iou)]
    iou: f32,
    /// Long side of the model's input in pixels
    #[arg(long, default_value_t = InferConfig::default().size)]
    size: u32,
    /// auto, tensorrt, onnxruntime or rten
    #[arg(long, default_value = "auto")]
    backend: String,
    /// Prints JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Writes the precision-recall curves as SVG
    #[arg(long)]
    curves: Option<PathBuf>,
    /// Writes the worst mistakes as one picture of crops (wrong red, missed blue), and prints what
    /// each is
    #[arg(long)]
    failures: Option<PathBuf>,
    /// How many mistakes --failures shows
    #[arg(long, default_value_t = 20, requires = "failures")]
    failures_most: usize,
}

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let frames = match &args.detections {
        Some(file) => eval::frames_from_file(&args.data, file)?,
        None => run_model(args)?,
    };
    // The threshold as it was typed: 0.1, not the nearest f32.
    let threshold = (f64::from(args.conf) * 1e6).round() / 1e6;
    let report = eval::evaluate(&frames, threshold);
    if let Some(file) = &args.curves {
        std::fs::write(file, report.svg())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &args.failures {
        let worst = eval::failures(&frames, threshold, args.failures_most);
        let sheet = eval::sheet(&worst, &args.data)?;
        sheet
            .save(file)
            .with_context(|| format!("cannot write {}", file.display()))?;
        for (place, failure) in (1..).zip(&worst) {
            eprintln!("{place:>3}. {failure}");
        }
    }
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

fn run_model(args: &EvalArgs) -> anyhow::Result<Vec<eval::Frame>> {
    let config = InferConfig {
        model: args.model.clone(),
        backend: args.backend.clone(),
        iou: args.iou,
        size: args.size,
        ..InferConfig::default()
    };
    let (frames, model) = eval::frames_from_model(&args.data, &config, |done, total| {
        if done.is_multiple_of(50) || done == total {
            eprintln!("{done} of {total} pictures");
        }
    })?;
    eprintln!("{model}");
    Ok(frames)
}
