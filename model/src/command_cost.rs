//! What a change to a model brought and cost, as `prune` and `half` report it.

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use hanja_model::eval;
use hanja_stage::config::InferConfig;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct CostArgs {
    /// Data set (images/ and labels/ in YOLO form) on which both models are scored
    #[arg(long)]
    data: Option<PathBuf>,
    /// Long side of the model's input for --data, in pixels
    #[arg(long, default_value_t = InferConfig::default().size)]
    size: u32,
}

/// Per cent.
#[derive(Clone, Copy)]
pub(crate) struct Scores {
    map50: f64,
    map50_95: f64,
}

impl CostArgs {
    /// The scores of a model, by the code path of `eval` and so of the product; none without --data.
    pub(crate) fn score(&self, model: &Path) -> anyhow::Result<Option<Scores>> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let config = InferConfig {
            model: Some(model.to_owned()),
            size: self.size,
            ..InferConfig::default()
        };
        let run = eval::frames_from_model(data, &config, |done, total| {
            if done.is_multiple_of(50) || done == total {
                eprintln!("{}: {done} of {total} pictures", model.display());
            }
        })?;
        let threshold = f64::from(run.default_conf);
        let (map50, map) = eval::evaluate(&run.frames, threshold).means();
        Ok(Some(Scores {
            map50: 100.0 * map50,
            map50_95: 100.0 * map,
        }))
    }

    /// Scores the changed model and prints what was lost.
    pub(crate) fn print(&self, before: Option<Scores>, changed: &Path) -> anyhow::Result<()> {
        let (Some(before), Some(after)) = (before, self.score(changed)?) else {
            return Ok(());
        };
        for (name, then, now) in [
            ("mAP50", before.map50, after.map50),
            ("mAP50-95", before.map50_95, after.map50_95),
        ] {
            let change = now - then;
            println!("{name:<9} {then:.2} before, {now:.2} now ({change:+.2})");
        }
        Ok(())
    }
}

/// Prints the length of both files, plain and compressed.
pub(crate) fn print_sizes(path: &Path, before: &[u8], after: &[u8]) -> anyhow::Result<()> {
    println!(
        "{}: {} bytes, before {}; compressed with gzip {}, before {}",
        path.display(),
        after.len(),
        before.len(),
        gzipped(after)?,
        gzipped(before)?
    );
    Ok(())
}

fn gzipped(bytes: &[u8]) -> std::io::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}
