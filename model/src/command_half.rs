//! `hanja-model half` on the command line.

use crate::command_cost::{CostArgs, print_sizes};
use anyhow::Context;
use clap::Args;
use hanja_onnx::half::{HalfError, half};
use hanja_onnx::storage::narrow;
use hanja_onnx::{Model, read_file};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct HalfArgs {
    /// ONNX model with f32 weights
    input: PathBuf,
    /// Where to write the fp16 model; may be the same file
    output: PathBuf,
    /// Only stores the weights in fp16: the file is as small, and every runtime computes in f32 as before
    #[arg(long)]
    storage: bool,
    #[command(flatten)]
    cost: CostArgs,
}

pub(crate) fn run(args: &HalfArgs) -> anyhow::Result<()> {
    let of_file = || args.input.display().to_string();
    let original = read_file(&args.input)?;
    let mut model = Model::parse(&original).with_context(of_file)?;
    let before = args.cost.score(&args.input)?;
    if args.storage {
        let report = narrow(&mut model).with_context(of_file)?;
        for tensor in &report.too_large {
            eprintln!("warning: {tensor} stays f32: it has values beyond fp16");
        }
        println!("{} tensors are stored in fp16", report.tensors);
    } else {
        compute_in_half(&mut model).with_context(of_file)?;
    }
    let written = model.write(&args.output)?;
    print_sizes(&args.output, &original, &written)?;
    args.cost.print(before, &args.output)
}

fn compute_in_half(model: &mut Model) -> Result<(), HalfError> {
    let report = half(model)?;
    for (tensor, count) in &report.clamped {
        eprintln!("warning: {tensor}: {count} values are beyond fp16 and became 65504 or -65504");
    }
    for node in &report.heavy_left {
        eprintln!("warning: {node} stays f32: not all of its operands are known to be f32");
    }
    println!(
        "{} nodes compute in fp16, {} stay f32; {} tensors converted, {} casts added",
        report.nodes, report.left, report.tensors, report.casts
    );
    Ok(())
}
