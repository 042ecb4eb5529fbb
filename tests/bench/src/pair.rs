//! The other process: the same executable, started again with a description of what to do.

use crate::echo::How;
use anyhow::Context;
use hanja_record::{StageName, Topic};
use hanja_ring::Sample;
use hanja_ring::baseline::{Notice, Pair};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the other process does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Answers every frame with 64 bytes.
    Echo {
        /// Runtime directory of both stages.
        dir: PathBuf,
        /// How it waits, and what it reads.
        how: How,
    },
    /// Answers on a bare cache line.
    Bare {
        /// The page.
        page: PathBuf,
        /// Spinning or sleeping on a futex.
        spin: bool,
    },
    /// Copies the newest frame again and again.
    Tap {
        /// Runtime directory of the stage.
        dir: PathBuf,
    },
    /// Leases one frame and keeps it.
    Hold {
        /// Runtime directory of the stage.
        dir: PathBuf,
    },
}

/// A child, killed when dropped.
#[derive(Debug)]
pub struct Other(Child);

impl Other {
    /// Starts the current executable with `arguments` and the task.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(arguments: &[&str], task: &Task) -> anyhow::Result<Self> {
        let task = serde_json::to_string(task)?;
        Self::spawn(&[arguments, &[&task]].concat())
    }

    /// Starts the current executable with these arguments.
    ///
    /// # Errors
    /// It does not start.
    pub fn spawn(arguments: &[&str]) -> anyhow::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the other process of the benchmark")?;
        Ok(Self(child))
    }

    /// SIGSTOP: it keeps what it holds and does nothing more.
    ///
    /// # Errors
    /// It is gone.
    pub fn stop(&self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.0);
        Ok(rustix::process::kill_process(
            pid,
            rustix::process::Signal::STOP,
        )?)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps this thread on the first or the last processor it may use, until dropped. Two processes on one processor wake
/// each other four times faster than on two; left to itself, the scheduler changes its mind between rounds.
#[derive(Debug)]
pub struct Pinned(CpuSet);

impl Pinned {
    /// The first processor, or the last.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn to(last: bool) -> anyhow::Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu));
        let cpu = if last {
            allowed.next_back()
        } else {
            allowed.next()
        };
        let mut one = CpuSet::new();
        one.set(cpu.context("no processor")?);
        sched_setaffinity(None, &one)?;
        Ok(Self(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// The child's side: carries out `task`, as [`Other::start`] passed it, until it is killed.
///
/// # Errors
/// The task cannot be parsed.
pub fn serve(task: &str) -> anyhow::Result<()> {
    match serde_json::from_str(task)? {
        Task::Echo { dir, how } => {
            let _pinned = Pinned::to(true)?;
            crate::echo::answer(&dir, how)
        }
        Task::Bare { page, spin } => {
            let _pinned = Pinned::to(true)?;
            let notice = if spin { Notice::Spin } else { Notice::Futex };
            Pair::open(&page)?.pong(u32::MAX, notice);
            Ok(())
        }
        Task::Tap { dir } => tap(&dir),
        Task::Hold { dir } => hold(&dir),
    }
}

fn tap(dir: &Path) -> anyhow::Result<()> {
    let mut tap = Topic::Frames.tap(dir, StageName::Capture);
    let mut sample = Sample::default();
    loop {
        tap.newest(&mut sample, Duration::from_secs(1));
        tap.rewind();
    }
}

fn hold(dir: &Path) -> anyhow::Result<()> {
    let mut subscriber = Topic::Frames.lease(dir, StageName::Capture, 1);
    let _lease = subscriber
        .newest(Duration::from_secs(10))
        .context("no frame to hold")?;
    std::fs::write(dir.with_extension("held"), [])?;
    loop {
        std::thread::park();
    }
}
