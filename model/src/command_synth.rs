//! `hanja-model synth` on the command line.

use clap::Args;
use hanja_model::synth::{self, Format, Preset, SynthOptions, Writers};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[derive(Args)]
pub(crate) struct SynthArgs {
    /// Folder to create, with images/, labels/, others/ (boxes of other characters) and data.yaml
    #[arg(long)]
    out: PathBuf,
    /// Number of pictures
    #[arg(long, default_value_t = 2000)]
    count: usize,
    /// Side of the square pictures, in pixels
    #[arg(long, default_value_t = 320)]
    size: usize,
    /// The same seed and material give the same data set
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Recipe
    #[arg(long, value_enum, default_value_t = Preset::Hard)]
    preset: Preset,
    /// Folder of handwriting with 1/ to 10/ (一 to 十); may be repeated
    #[arg(long)]
    chars: Vec<PathBuf>,
    /// JSON file of pen strokes, plain or gzipped; may be repeated
    #[arg(long)]
    strokes: Vec<PathBuf>,
    /// Font file or folder of fonts; may be repeated
    #[arg(long)]
    fonts: Vec<PathBuf>,
    /// Folder of pictures of other characters, at any depth; may be repeated
    #[arg(long)]
    distractors: Vec<PathBuf>,
    /// Folder of photographs, at any depth; may be repeated
    #[arg(long)]
    backgrounds: Vec<PathBuf>,
    /// Leaves out distractor files whose path contains this; may be repeated
    #[arg(long)]
    skip: Vec<String>,
    /// Picture format
    #[arg(long, value_enum, default_value_t = Format::Jpg)]
    format: Format,
    /// Share of pictures without any numeral
    #[arg(long, default_value_t = 0.15)]
    negatives: f64,
    /// Which writers to use, by the number in names like w012_03.jpg: all; train (all but every
    /// N-th); held-out (only every N-th, and numerals from neither fonts nor stroke files)
    #[arg(long, value_enum, default_value_t = WritersArg::All)]
    writers: WritersArg,
    /// The N of --writers
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    writers_mod: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WritersArg {
    All,
    Train,
    HeldOut,
}

pub(crate) fn run(args: SynthArgs) -> anyhow::Result<()> {
    let writers = match args.writers {
        WritersArg::All => Writers::All,
        WritersArg::Train => Writers::Train(args.writers_mod),
        WritersArg::HeldOut => Writers::HeldOut(args.writers_mod),
    };
    let options = SynthOptions {
        out: args.out,
        count: args.count,
        size: args.size,
        seed: args.seed,
        preset: args.preset,
        negatives: args.negatives,
        format: args.format,
        writers,
        chars: args.chars,
        strokes: args.strokes,
        fonts: args.fonts,
        distractors: args.distractors,
        backgrounds: args.backgrounds,
        skip: args.skip,
    };
    eprintln!("reading material …");
    let started = Mutex::new(None::<Instant>);
    let report = synth::run(&options, |done| {
        if done % 200 == 0 || done == options.count {
            let mut first = started.lock().unwrap_or_else(PoisonError::into_inner);
            let since = first
                .get_or_insert_with(Instant::now)
                .elapsed()
                .as_secs_f64();
            let rate = done.saturating_sub(200) as f64 / since.max(1e-3);
            eprintln!("{done} of {} pictures, {rate:.0} a second", options.count);
        }
    })?;
    for warning in report.warnings.iter().take(10) {
        eprintln!("skipped {warning}");
    }
    if report.warnings.len() > 10 {
        eprintln!("skipped {} more files", report.warnings.len() - 10);
    }
    println!(
        "{} pictures ({} without numerals), labels by class {:?}",
        report.pictures, report.without_labels, report.labels
    );
    Ok(())
}
