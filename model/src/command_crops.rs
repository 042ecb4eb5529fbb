//! `hanja-model crops` on the command line.

use clap::Args;
use hanja_model::crops::{self, CropOptions};
use hanja_stage::config::InferConfig;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct CropsArgs {
    /// Data set: a folder with images/, labels/ and perhaps others/
    #[arg(long)]
    data: PathBuf,
    /// Folder to create, with sheets of crops and crops.csv
    #[arg(long)]
    out: PathBuf,
    /// ONNX model to run; without it, the one inside the executable
    #[arg(long)]
    model: Option<PathBuf>,
    /// Least score of a box
    #[arg(long, default_value_t = 0.03)]
    conf: f32,
    /// Long side of the model's input in pixels
    #[arg(long, default_value_t = InferConfig::default().size)]
    size: u32,
    /// Long side of its second input, 0 for none [default: 128 with the ten numerals, else 0]
    #[arg(long)]
    coarse_size: Option<u32>,
    /// Crops around each label and other character, besides those of what the model finds
    #[arg(long, default_value_t = 1)]
    jitter: usize,
    /// Seed of those
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: CropsArgs) -> anyhow::Result<()> {
    let options = CropOptions {
        data: args.data,
        out: args.out,
        config: InferConfig {
            model: args.model,
            conf: Some(args.conf),
            size: args.size,
            coarse_size: args.coarse_size,
            ..InferConfig::default()
        },
        jitter: args.jitter,
        seed: args.seed,
    };
    let report = crops::run(&options, |done, total| {
        if done.is_multiple_of(200) || done == total {
            eprintln!("{done} of {total} pictures");
        }
    })?;
    println!(
        "crops of {} pictures, by class and of none: {:?}",
        report.pictures, report.crops
    );
    Ok(())
}
