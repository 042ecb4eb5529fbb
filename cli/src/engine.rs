//! `hanja engine build`, `list`, `prune`: TensorRT engines and their cache. The build itself happens in a child of this
//! process, the hidden `hanja engine build --worker`, because it runs for minutes inside of NVIDIA's library.

use crate::args::{
    EngineArgs, EngineBuildArgs, EngineCommand, EngineListArgs, EnginePruneArgs, Global,
};
use anyhow::Context;
use hanja_infer::engine::{
    self, Building, Cache, Current, Done, Entry, Health, Job, Phase, Progress, State,
};
use hanja_stage::config::Config;
use hanja_stage::logging;
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often the child is asked.
const POLL: Duration = Duration::from_millis(50);
/// How often a line says that it still works.
const STILL: Duration = Duration::from_secs(10);

pub(crate) fn engine(global: &Global, args: &EngineArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        EngineCommand::Build(args) if args.worker => return worker(),
        EngineCommand::Build(args) => build(global, args),
        EngineCommand::List(args) => list(global, args),
        EngineCommand::Prune(args) => prune(global, args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The child. It has told its parent why it failed, which tells people.
fn worker() -> anyhow::Result<ExitCode> {
    let built = engine::worker(|filter| logging::start(Some(filter), None))?;
    Ok(if built {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn build(global: &Global, args: &EngineBuildArgs) -> anyhow::Result<()> {
    logging::start(Some(global.log.as_deref().unwrap_or("warn")), None)?;
    let mut config = global.config()?;
    args.apply(&mut config)?;
    let infer = &config.infer;
    let mut job = Job::new(infer)?;
    job.shape = args.shape.unwrap_or(job.shape);
    job.workspace_mib = args.workspace;
    job.out.clone_from(&args.out);
    if let Some(filter) = &global.log {
        job.log.clone_from(filter);
    }
    let started = Instant::now();
    let done = watch(&mut Building::start(&job)?)?;
    report(&done, started.elapsed());
    Ok(())
}

/// Says what the child does until it is done.
fn watch(building: &mut Building) -> anyhow::Result<Done> {
    let mut said: Option<(Progress, Instant)> = None;
    loop {
        match building.poll() {
            State::Done(done) => return Ok(done),
            State::Failed(why) => anyhow::bail!("the engine was not built: {why}"),
            State::Progress(now) => {
                let news = said
                    .is_none_or(|(before, at)| before.phase != now.phase || at.elapsed() >= STILL);
                if news && now.phase != Phase::Starting {
                    println!("{now}");
                    std::io::stdout().flush()?;
                    said = Some((now, Instant::now()));
                }
            }
        }
        std::thread::sleep(POLL);
    }
}

fn report(done: &Done, took: Duration) {
    for note in &done.notes {
        eprintln!("note: {note}");
    }
    let (path, size) = (done.path.display(), megabytes(done.bytes));
    if done.cached {
        println!("{path} is there already, {size}");
    } else {
        println!("{path}, {size}, built in {:.1} s", took.as_secs_f64());
    }
}

fn list(global: &Global, args: &EngineListArgs) -> anyhow::Result<()> {
    let cache = cache(global, args.engine_cache.as_deref())?;
    let engines = cache.list()?;
    if args.json {
        #[derive(Serialize)]
        struct Listing<'a> {
            cache: &'a Path,
            engines: &'a [Entry],
        }
        let listing = Listing {
            cache: cache.dir(),
            engines: &engines,
        };
        println!("{}", serde_json::to_string_pretty(&listing)?);
        return Ok(());
    }
    println!("{}, {}", cache.dir().display(), count(engines.len()));
    for entry in &engines {
        let name = entry.path.file_name().unwrap_or_default().display();
        let what = match (&entry.health, &entry.sidecar) {
            (Health::Bad(why), _) => format!("not usable: {why}"),
            (Health::Good, Some(sidecar)) => {
                let device = sidecar.device().map_or("any device", |d| d.name.as_str());
                format!(
                    "for {device}, by {}, in {:.1} s",
                    sidecar.built_by, sidecar.build_seconds
                )
            }
            (Health::Good, None) => String::new(),
        };
        println!("{name}  {}  {what}", megabytes(entry.bytes));
    }
    Ok(())
}

fn prune(global: &Global, args: &EnginePruneArgs) -> anyhow::Result<()> {
    let cache = cache(global, args.engine_cache.as_deref())?;
    let library = match hanja_tensorrt::Library::find() {
        Ok(library) => Some(engine::library_key(&library)),
        Err(e) => {
            if !args.all {
                eprintln!(
                    "note: engines of other libraries stay, because there is none here to compare with: {e}"
                );
            }
            None
        }
    };
    let current = Current {
        library,
        device: engine::device_key(),
    };
    let removals = cache.prune(&current, args.all, args.dry_run)?;
    for removal in &removals {
        let name = removal.path.file_name().unwrap_or_default().display();
        println!("{name}: {}", removal.reason);
    }
    let bytes = removals.iter().map(|r| r.bytes).sum();
    let verb = if args.dry_run { "would go" } else { "removed" };
    let files = match removals.len() {
        1 => "1 file".to_owned(),
        n => format!("{n} files"),
    };
    println!(
        "{}: {files} {verb}, {}",
        cache.dir().display(),
        megabytes(bytes)
    );
    Ok(())
}

fn cache(global: &Global, dir: Option<&Path>) -> anyhow::Result<Cache> {
    let mut config: Config = global.config().context("the engine cache is not known")?;
    if let Some(dir) = dir {
        config.infer.engine_cache = Some(dir.to_owned());
    }
    Ok(Cache::new(&engine::cache_dir(&config.infer)))
}

/// `no engines`, `1 engine`, `3 engines`.
pub(crate) fn count(engines: usize) -> String {
    match engines {
        0 => "no engines".into(),
        1 => "1 engine".into(),
        n => format!("{n} engines"),
    }
}

/// As people read it.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
