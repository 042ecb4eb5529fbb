//! `hanja capture`, `hanja infer`, `hanja render`: one stage in the foreground, as the systemd units start it.
//!
//! By hand a failure is exit status 1, like anywhere else. Under a service manager the status says whether another start
//! makes sense: [`EXIT_CONFIG`] if it would end the same way.

use crate::args::{CaptureArgs, Global, InferArgs, RenderArgs};
use hanja_capture::{CaptureError, Patience};
use hanja_infer::InferError;
use hanja_record::StageName;
use hanja_render::RenderError;
use hanja_stage::config::{Config, ConfigError};
use hanja_stage::process::SUPERVISED;
use hanja_stage::telemetry::FPS_TARGET;
use hanja_stage::{EXIT_CONFIG, Stage, StageError, is_managed, logging};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Set by `hanja run` for its children: their whole configuration, [`Config::to_toml`].
pub(crate) const HANDED: &str = "HANJA_SUPERVISED_CONFIG";

/// What a failed start waits before it ends. systemd starts a service again at once, which is right after a crash; it
/// has no back-off before version 254, and the one it has since never forgets.
const FAILED_START: Duration = Duration::from_secs(2);

pub(crate) fn capture(global: &Global, args: CaptureArgs) -> anyhow::Result<ExitCode> {
    let patience = if is_managed() && !is_supervised() {
        Patience::Wait
    } else {
        Patience::Fail
    };
    run(
        StageName::Capture,
        global,
        move |config| {
            args.apply(config);
            Ok(())
        },
        |stage, config| Ok(hanja_capture::run(stage, &config.capture, patience)?),
    )
}

pub(crate) fn infer(global: &Global, args: InferArgs) -> anyhow::Result<ExitCode> {
    run(
        StageName::Infer,
        global,
        move |config| args.apply(config),
        |stage, config| Ok(hanja_infer::run(stage, &config.infer)?),
    )
}

pub(crate) fn render(global: &Global, args: RenderArgs) -> anyhow::Result<ExitCode> {
    run(
        StageName::Render,
        global,
        move |config| {
            args.apply(config);
            Ok(())
        },
        |stage, config| Ok(hanja_render::run(stage, &config.render)?),
    )
}

/// One stage from its configuration to its end. `flags` puts the command line over the file, at every reload anew.
fn run(
    name: StageName,
    global: &Global,
    flags: impl Fn(&mut Config) -> Result<(), ConfigError> + Clone + Send + Sync + 'static,
    serve: impl FnOnce(&Stage, &Config) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let again = global.clone();
    let read = move || match handed(std::env::var_os(HANDED).filter(|_| is_supervised())) {
        Some(config) => config,
        None => {
            let mut config = again.config()?;
            flags(&mut config)?;
            config.log = again.log.clone().or(config.log);
            Ok(config)
        }
    };
    let mut was_ready = false;
    let whole = || {
        let config: Config = read()?;
        logging::start(filter(&config).as_deref(), Some(name))?;
        follow_supervisor()?;
        let mut stage = Stage::start(name, &global.runtime_dir())?;
        // A closed terminal ends what was started from it, by SIGHUP as well.
        if global.config.is_some() && !std::io::stdin().is_terminal() {
            stage.reloads(&config, Box::new(read.clone()))?;
        }
        let result = serve(&stage, &config);
        was_ready = stage.is_ready();
        result
    };
    match whole() {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(e) if !is_managed() => Err(e),
        Err(e) => {
            if logging::stderr_is_journal() {
                // With its fields, even if it is about the configuration, before which there is no log.
                let _ = logging::start(None, Some(name));
                tracing::error!("{}", crate::one_line(&e));
            } else {
                crate::complain(&e);
            }
            if is_final(&e) {
                return Ok(ExitCode::from(EXIT_CONFIG));
            }
            if !was_ready && !is_supervised() {
                std::thread::sleep(FAILED_START);
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Whether another start would end the same way.
fn is_final(e: &anyhow::Error) -> bool {
    let stage = e.downcast_ref::<StageError>().map(StageError::is_final);
    let capture = e.downcast_ref::<CaptureError>().map(CaptureError::is_final);
    let infer = e.downcast_ref::<InferError>().map(InferError::is_final);
    let render = e.downcast_ref::<RenderError>().map(RenderError::is_final);
    let one = stage.or(capture).or(infer).or(render);
    one.unwrap_or_else(|| e.is::<ConfigError>())
}

/// The configuration that `hanja run` handed over: its own file and flags, so none are looked at here.
pub(crate) fn handed(text: Option<OsString>) -> Option<Result<Config, ConfigError>> {
    // It is text; if somebody else's, an error like any other.
    let text = text?.to_string_lossy().into_owned();
    Some(Config::from_toml(
        &text,
        Path::new("the configuration of hanja run"),
    ))
}

/// What is logged.
fn filter(config: &Config) -> Option<String> {
    if !is_supervised() {
        return config.log.clone();
    }
    // The once-a-second lines of three stages would drown the supervisor's one.
    let own = config.log.as_deref().unwrap_or("info");
    Some(format!("{own},{FPS_TARGET}=off"))
}

/// A child of `hanja run`.
fn is_supervised() -> bool {
    std::env::var_os(SUPERVISED).is_some()
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
