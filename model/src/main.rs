//! `hanja-model`: the command line of the model tools.
#![forbid(unsafe_code)]

mod command_eval;
mod command_synth;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Makes data sets for the hanja numeral model and scores models.
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
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Synth(args) => command_synth::run(args),
        Command::Eval(args) => command_eval::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hanja-model: {error:#}");
            ExitCode::FAILURE
        }
    }
}
