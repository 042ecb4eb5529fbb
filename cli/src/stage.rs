//! `hanja capture`, `hanja infer`, `hanja render`: one stage in the foreground, as the systemd units start it.

use crate::args::{CaptureArgs, Global, InferArgs, RenderArgs};
use hanja_common::config::Config;
use hanja_common::stage::{Stage, StageName};
use hanja_common::telemetry;

/// Set by `hanja run` for its children: its own process id.
pub(crate) const SUPERVISED: &str = "HANJA_SUPERVISED";

pub(crate) fn capture(global: &Global, args: &CaptureArgs) -> anyhow::Result<()> {
    let mut config = global.config()?;
    args.apply(&mut config);
    let stage = start(StageName::Capture, global)?;
    hanja_capture::run(&stage, &config.capture)?;
    Ok(())
}

pub(crate) fn infer(global: &Global, args: &InferArgs) -> anyhow::Result<()> {
    let mut config: Config = global.config()?;
    args.apply(&mut config)?;
    let stage = start(StageName::Infer, global)?;
    hanja_infer::run(&stage, &config.infer)?;
    Ok(())
}

pub(crate) fn render(global: &Global, args: &RenderArgs) -> anyhow::Result<()> {
    let mut config = global.config()?;
    args.apply(&mut config);
    let stage = start(StageName::Render, global)?;
    hanja_render::run(&stage, &config.render)?;
    Ok(())
}

fn start(name: StageName, global: &Global) -> anyhow::Result<Stage> {
    telemetry::init_logging(global.log.as_deref()).map_err(anyhow::Error::msg)?;
    follow_supervisor()?;
    Ok(Stage::start(name, &global.runtime_dir())?)
}

/// A child of `hanja run` ends with it, even if it is killed with -9: the kernel sends SIGTERM.
fn follow_supervisor() -> anyhow::Result<()> {
    let Some(supervisor) = std::env::var(SUPERVISED)
        .ok()
        .and_then(|v| v.parse::<i32>().ok())
    else {
        return Ok(());
    };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let parent = rustix::process::getppid().map_or(0, |p| p.as_raw_nonzero().get());
    anyhow::ensure!(
        parent == supervisor,
        "the supervisor (process {supervisor}) is gone already"
    );
    Ok(())
}
