//! `hanja bench`: figures of this machine, each side interleaved with what it is compared with.

mod boxes;
mod model;
mod pipeline;
mod ring;
mod telemetry;

use crate::args::{BenchArgs, BenchWhat, Global};
use serde::Serialize;
use std::fmt::Display;

pub(crate) fn bench(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    match args.what {
        BenchWhat::Pipeline => pipeline::bench(global, args),
        BenchWhat::Model => model::bench(global, args),
        BenchWhat::Ring => ring::bench(args),
        BenchWhat::Boxes => boxes::bench(global, args),
        BenchWhat::Telemetry => telemetry::bench(global, args),
    }
}

/// Prints a report for people or, with `--json`, for programs.
fn print(report: &(impl Serialize + Display), args: &BenchArgs) -> anyhow::Result<()> {
    if args.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
