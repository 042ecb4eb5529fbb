//! `hanja bench`: figures of this machine, each side interleaved with what it is compared with.

mod model;
mod pipeline;
mod ring;

use crate::args::{BenchArgs, BenchWhat, Global};

pub(crate) fn bench(global: &Global, args: &BenchArgs) -> anyhow::Result<()> {
    match args.what {
        BenchWhat::Pipeline => pipeline::bench(global, args),
        BenchWhat::Model => model::bench(global, args),
        BenchWhat::Ring => ring::bench(args),
    }
}
