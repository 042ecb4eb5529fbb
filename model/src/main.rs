//! `hanja-model`: the command line of the model tools.
#![forbid(unsafe_code)]

mod command_cost;
mod command_crops;
mod command_eval;
mod command_half;
mod command_prune;
mod command_synth;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Makes data sets for the hanja numeral model, scores models and makes them smaller.
#[derive(Parser)]
#[command(name = "hanja-model", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a YOLO data set from handwriting, pen strokes and fonts
    Synth(command_synth::SynthArgs),
    /// Scores a model or detections against a YOLO data set, as COCO does
    Eval(command_eval::EvalArgs),
    /// Cuts out what a model finds in a data set, for the verifier to learn from
    Crops(command_crops::CropsArgs),
    /// Makes the smallest weights of an ONNX model 0
    Prune(command_prune::PruneArgs),
    /// Converts an ONNX model to fp16, with f32 inputs and outputs
    Half(command_half::HalfArgs),
    /// Writes manual pages and shell completions
    #[command(hide = true)]
    Manual(hanja_manual::ManualArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Synth(args) => command_synth::run(args),
        Command::Eval(args) => command_eval::run(&args),
        Command::Crops(args) => command_crops::run(args),
        Command::Prune(args) => command_prune::run(&args),
        Command::Half(args) => command_half::run(&args),
        Command::Manual(args) => args
            .write(&Cli::command(), "hanja(1)")
            .map_err(anyhow::Error::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hanja-model: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes; some errors quote their cause themselves.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}
