//! `hanja-model half` on the command line.

use crate::command_cost::{CostArgs, print_sizes};
use anyhow::Context;
use clap::Args;
use hanja_onnx::half::half;
use hanja_onnx::{Model, read_file};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct HalfArgs {
    /// ONNX model with f32 weights
    input: PathBuf,
    /// Where to write the fp16 model; may be the same file
    output: PathBuf,
    #[command(flatten)]
    cost: CostArgs,
}

pub(crate) fn run(args: &HalfArgs) -> anyhow::Result<()> {
    let of_file = || args.input.display().to_string();
    let original = read_file(&args.input)?;
    let mut model = Model::parse(&original).with_context(of_file)?;
    let before = args.cost.score(&args.input)?;
    let report = half(&mut model).with_context(of_file)?;
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
    let written = model.write(&args.output)?;
    print_sizes(&args.output, &original, &written)?;
    args.cost.print(before, &args.output)
}
