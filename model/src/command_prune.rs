//! `hanja-model prune` on the command line.

use crate::command_cost::{CostArgs, print_sizes};
use anyhow::Context;
use clap::{Args, ValueEnum};
use hanja_model::prune::{Method, prune};
use hanja_onnx::{Model, read_file};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct PruneArgs {
    /// ONNX model with f32 or f16 weights
    input: PathBuf,
    /// Where to write the pruned model; may be the same file
    output: PathBuf,
    /// Share of the values that become 0, the smallest by magnitude, rounded down; default 0.05
    #[arg(long, conflicts_with = "pattern")]
    amount: Option<f64>,
    /// Counts the share over all tensors together instead of in each
    #[arg(long, conflicts_with = "pattern")]
    global: bool,
    /// Zeros in a pattern that sparse tensor cores can use, instead of a share
    #[arg(long, value_enum)]
    pattern: Option<Pattern>,
    /// Only the operands of convolutions and matrix products; without it, every f32 or f16 tensor
    /// of two or more dimensions, anchors and grids included
    #[arg(long)]
    weights_only: bool,
    #[command(flatten)]
    cost: CostArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pattern {
    /// The two smallest of each four along the input channels
    #[value(name = "2:4")]
    TwoOfFour,
}

pub(crate) fn run(args: &PruneArgs) -> anyhow::Result<()> {
    let amount = args.amount.unwrap_or(0.05);
    let method = match (args.pattern, args.global) {
        (Some(Pattern::TwoOfFour), _) => Method::TwoOfFour,
        (None, true) => Method::Global(amount),
        (None, false) => Method::PerTensor(amount),
    };
    let of_file = || args.input.display().to_string();
    let original = read_file(&args.input)?;
    let mut model = Model::parse(&original).with_context(of_file)?;
    let before = args.cost.score(&args.input)?;
    let report = prune(&mut model, method, args.weights_only).with_context(of_file)?;
    print!("{}", report.text());
    for tensor in report.suspicious() {
        eprintln!(
            "warning: {} lost {} values, but no convolution or matrix product uses it: perhaps anchors or a grid; \
             --weights-only leaves such tensors alone",
            tensor.name,
            tensor.after - tensor.before
        );
    }
    let written = model.write(&args.output)?;
    print_sizes(&args.output, &original, &written)?;
    args.cost.print(before, &args.output)
}
