//! `hanja-model eval` on the command line.

use anyhow::Context;
use clap::Args;
use hanja_model::eval;
use hanja_stage::config::InferConfig;
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
    /// detection) [default: the product's, 0.75 with the second look, else 0.5]
    #[arg(long)]
    conf: Option<f32>,
    /// Overlap above which the weaker of two boxes of one class is dropped
    #[arg(long, default_value_t = InferConfig::default().iou)]
    iou: f32,
    /// Whether a box goes for a better one of another class too [default: true with the ten numerals]
    #[arg(long)]
    agnostic: Option<bool>,
    /// Long side of the model's input in pixels
    #[arg(long, default_value_t = InferConfig::default().size)]
    size: u32,
    /// Long side of its second input, 0 for none [default: 128 with the ten numerals, else 0]
    #[arg(long)]
    coarse_size: Option<u32>,
    /// Whether a second network looks again at what was found
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    verify: bool,
    /// auto, tensorrt, onnxruntime or rten
    #[arg(long, default_value = "auto")]
    backend: String,
    /// Adds intervals: the middle 95 per cent of so many draws, with replacement, from the pictures
    #[arg(long, value_name = "ROUNDS", default_value_t = 0)]
    bootstrap: usize,
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
    let (frames, conf) = match &args.detections {
        Some(file) => {
            let frames = eval::frames_from_file(&args.data, file)?;
            (frames, InferConfig::least_score(args.verify))
        }
        None => run_model(args)?,
    };
    // The threshold as it was typed: 0.1, not the nearest f32.
    let threshold = (f64::from(args.conf.unwrap_or(conf)) * 1e6).round() / 1e6;
    let mut report = eval::evaluate(&frames, threshold);
    if args.bootstrap > 0 {
        report.intervals = Some(eval::bootstrap(&frames, threshold, args.bootstrap, 1));
    }
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

/// The frames, and the default threshold of the model.
fn run_model(args: &EvalArgs) -> anyhow::Result<(Vec<eval::Frame>, f32)> {
    let config = InferConfig {
        model: args.model.clone(),
        backend: args.backend.clone(),
        iou: args.iou,
        agnostic: args.agnostic,
        size: args.size,
        coarse_size: args.coarse_size,
        verify: args.verify,
        ..InferConfig::default()
    };
    let run = eval::frames_from_model(&args.data, &config, |done, total| {
        if done.is_multiple_of(50) || done == total {
            eprintln!("{done} of {total} pictures");
        }
    })?;
    eprintln!("{}", run.model);
    Ok((run.frames, run.default_conf))
}
