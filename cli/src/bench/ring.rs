//! `hanja bench ring`: the measuring is in the crate `hanja-bench`; this prints it.

use crate::args::BenchArgs;

pub(super) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    if let Some(task) = &args.other {
        return hanja_bench::pair::serve(task);
    }
    let report = hanja_bench::run(&["bench", "ring", "--other"], args.rounds as usize)?;
    super::print(&report, args)
}
