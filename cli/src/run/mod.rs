//! `hanja run`: starts the three stages as child processes, restarts what dies, says once a second how it goes, ends
//! everything within two seconds, and writes the summary.

mod child;
mod notify;
mod observe;
mod summary;

use crate::args::{Global, RunArgs};
use anyhow::Context;
use child::{Child, Ended};
use hanja_record::StageName;
use hanja_stage::config::Config;
use hanja_stage::{RuntimeDir, StageError};
use notify::NotifySocket;
use observe::Observer;
pub(crate) use observe::labels;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A clip's last frames get this long to be inferred once its end is reached.
const DRAIN: Duration = Duration::from_millis(1000);
/// A stopping stage is killed after this; the contract for all of it is 2 s.
const STOP_WITHIN: Duration = Duration::from_millis(1200);

pub(crate) fn run(global: &Global, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let mut config = global.config()?;
    args.capture.apply(&mut config);
    args.infer.apply(&mut config)?;
    args.render.apply(&mut config);
    config.capture.source = choose_source(&config.capture.source);
    config.log = global.log.clone().or(config.log);
    if let Some(path) = &args.summary {
        check_writable(path)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let dir = RuntimeDir::prepare(&global.runtime_dir())?;
    for stage in StageName::ALL {
        if let Some(pid) = RuntimeDir::running(dir.path(), stage) {
            return Err(StageError::in_use(stage, dir.path(), pid).into());
        }
    }
    let mut supervisor = Supervisor::start(&dir, config)?;
    let outcome = supervisor.watch(&stop, args.duration);
    supervisor.stop();
    if let Some(path) = &args.summary {
        let restarts = supervisor.restarts();
        let report = supervisor.observer.finish();
        let summary = summary::Summary::new(&supervisor.config, &report, restarts);
        summary.write(path)?;
    }
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// `auto`: the first camera; without one, handwriting drawn live, and it is said so.
fn choose_source(source: &str) -> String {
    if source != "auto" {
        return source.to_owned();
    }
    let (uri, reason) = hanja_capture::choose_source();
    say(&reason);
    uri
}

/// Better now than after an hour's run.
fn check_writable(path: &Path) -> anyhow::Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write the summary {}", path.display()))?;
    Ok(())
}

/// A line of the supervisor's own. A closed terminal is no reason to stop watching.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

struct Supervisor {
    config: Config,
    runtime_dir: PathBuf,
    children: Vec<Child>,
    notify: NotifySocket,
    observer: Observer,
}

impl Supervisor {
    fn start(dir: &RuntimeDir, config: Config) -> anyhow::Result<Self> {
        let runtime_dir = dir.path().to_owned();
        let notify = NotifySocket::bind(&runtime_dir).map_err(|source| StageError::RuntimeDir {
            path: runtime_dir.clone(),
            source,
        })?;
        let observer = Observer::new(&runtime_dir);
        let mut children = Vec::new();
        // Render and infer first: they are listening when the first frame comes.
        for stage in [StageName::Render, StageName::Infer, StageName::Capture] {
            let mut child = Child::new(stage, &config, &runtime_dir, notify.path())?;
            child.spawn()?;
            children.push(child);
        }
        Ok(Self {
            config,
            runtime_dir,
            children,
            notify,
            observer,
        })
    }

    /// Until told to stop, the time is up, the source ends, or a stage cannot start.
    fn watch(&mut self, stop: &AtomicBool, duration: Option<Duration>) -> anyhow::Result<()> {
        let deadline = duration.map(|d| Instant::now() + d);
        let mut next_line = Instant::now() + Duration::from_secs(1);
        while !stop.load(Ordering::Relaxed) && deadline.is_none_or(|d| Instant::now() < d) {
            self.observer.poll(Duration::from_millis(20));
            self.take_notices();
            for child in &mut self.children {
                match child.check()? {
                    Some(Ended::Source) => {
                        say("the source has ended");
                        self.observer.drain(DRAIN);
                        return Ok(());
                    }
                    Some(Ended::Failed(why)) => anyhow::bail!("{why}"),
                    None => {}
                }
            }
            if Instant::now() >= next_line {
                next_line += Duration::from_secs(1);
                say(&self.observer.line());
            }
        }
        Ok(())
    }

    fn take_notices(&mut self) {
        while let Some(notice) = self.notify.receive() {
            if let Some(child) = self
                .children
                .iter_mut()
                .find(|c| c.stage().name() == notice.stage)
            {
                child.noticed(&notice);
            }
        }
    }

    /// Capture first, so that infer can finish what is in the ring; then the others together.
    fn stop(&mut self) {
        let deadline = Instant::now() + STOP_WITHIN;
        let (capture, others): (Vec<_>, Vec<_>) = self
            .children
            .iter_mut()
            .partition(|c| c.stage() == StageName::Capture);
        for child in capture {
            child.terminate();
            while child.running() && Instant::now() < deadline {
                self.observer.poll(Duration::from_millis(5));
            }
            child.kill();
        }
        self.observer.drain(Duration::from_millis(150));
        let mut others = others;
        for child in &mut others {
            child.terminate();
        }
        for child in &mut others {
            while child.running() && Instant::now() < deadline {
                self.observer.poll(Duration::from_millis(5));
            }
            child.kill();
        }
        self.sweep();
    }

    /// Sockets of stages that were killed; those that ended in order have removed theirs.
    fn sweep(&self) {
        for stage in StageName::ALL {
            for name in [
                format!("{}.sock", stage.name()),
                format!("{}-tap.sock", stage.name()),
            ] {
                let _ = std::fs::remove_file(self.runtime_dir.join(name));
            }
        }
    }

    fn restarts(&self) -> Vec<(StageName, u32)> {
        self.children
            .iter()
            .map(|c| (c.stage(), c.restarts()))
            .collect()
    }
}
