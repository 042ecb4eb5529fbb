//! Starts the victims, kills them, starts them again, and checks what they leave behind.

use crate::Role;
use crate::report::{Report, Residue, count_fds};
use crate::tally::Sums;
use anyhow::Context;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const ROLES: [Role; 5] = [Role::Writer, Role::Lease, Role::Lease, Role::Tap, Role::Tap];
const WRITER_SITES: [&str; 6] = ["MARK", "RESTORE", "FILL", "PUBLISH", "ANNOUNCE", "RING"];
const READER_SITES: [&str; 2] = ["HOLD", "RELEASE"];

struct Victim {
    role: Role,
    child: Child,
    tally: PathBuf,
    failpoint: Option<&'static str>,
    resume_at: Option<Instant>,
}

struct Supervisor {
    dir: tempfile::TempDir,
    rng: Pcg64,
    victims: Vec<Victim>,
    /// Roles whose processes may get a failpoint when they start.
    failpoints: fn(Role) -> bool,
    started: u64,
    sabotage: bool,
    sums: Sums,
    report: Report,
}

/// Runs all phases, `length` in all.
pub(crate) fn run(length: Duration, seed: u64, sabotage: bool) -> anyhow::Result<Report> {
    // Thousands of deaths by SIGSEGV and SIGABRT: no core files.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    let fds_before = count_fds(std::process::id())?;
    let mut s = Supervisor {
        dir: tempfile::tempdir()?,
        rng: Pcg64::seed_from_u64(seed),
        victims: Vec::new(),
        failpoints: |_| false,
        started: 0,
        sabotage,
        sums: Sums::default(),
        report: Report::new(seed, length),
    };
    for role in ROLES {
        let victim = s.spawn(role)?;
        s.victims.push(victim);
    }
    s.phase(length * 2 / 3, |_| true)?;
    s.observed(length / 6, Role::Writer, |role| role != Role::Writer)?;
    s.observed(length / 6, Role::Lease, |role| role == Role::Writer)?;
    for victim in std::mem::take(&mut s.victims) {
        s.end(victim)?;
    }
    s.report.take(&s.sums);
    let mut report = std::mem::replace(&mut s.report, Report::new(seed, length));
    drop(s);
    let fds_after = count_fds(std::process::id())?;
    report.supervisor_fds = (fds_before, fds_after);
    Ok(report)
}

impl Supervisor {
    fn spawn(&mut self, role: Role) -> anyhow::Result<Victim> {
        self.started += 1;
        let tally = self.dir.path().join(format!("tally-{}", self.started));
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([
                "--role",
                role.name(),
                "--seed",
                &self.rng.random::<u32>().to_string(),
                "--dir",
            ])
            .arg(self.dir.path().join("run"))
            .arg("--tally")
            .arg(&tally)
            .stdin(Stdio::null())
            .stderr(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(self.dir.path().join("log"))?,
            );
        if self.sabotage {
            command.arg("--sabotage");
        }
        let failpoint = ((self.failpoints)(role) && self.rng.random_bool(0.5))
            .then(|| self.site(role))
            .flatten();
        if let Some(site) = failpoint {
            // Far enough to get going, near enough to be reached before a signal comes.
            let most = if site == "FILL" { 20_000 } else { 100 };
            command.arg(format!(
                "--failpoint={site}:{}",
                self.rng.random_range(1..=most)
            ));
        }
        let child = command.spawn().context("cannot start a victim")?;
        Ok(Victim {
            role,
            child,
            tally,
            failpoint,
            resume_at: None,
        })
    }

    fn site(&mut self, role: Role) -> Option<&'static str> {
        let sites: &[&'static str] = match role {
            Role::Writer => &WRITER_SITES,
            Role::Lease => &READER_SITES,
            Role::Tap => return None, // writes nothing
        };
        Some(sites[self.rng.random_range(0..sites.len())])
    }

    /// A phase that one process of role `who` must survive, with the same descriptors and mappings afterwards as before.
    fn observed(
        &mut self,
        length: Duration,
        who: Role,
        may_die: fn(Role) -> bool,
    ) -> anyhow::Result<()> {
        // All processes start anew, without failpoints, so that the observed one is attached to all of them.
        for i in 0..self.victims.len() {
            let fresh = self.spawn(self.victims[i].role)?;
            let old = std::mem::replace(&mut self.victims[i], fresh);
            self.end(old)?;
        }
        std::thread::sleep(Duration::from_millis(500));
        let index = self
            .victims
            .iter()
            .position(|v| v.role == who)
            .context("no such victim")?;
        let pid = self.victims[index].child.id();
        let before = Residue::of(pid)?;
        self.phase(length, may_die)?;
        anyhow::ensure!(
            self.victims[index].child.id() == pid,
            "the {who:?} that should live died"
        );
        // The dead are noticed within milliseconds, the last victim attaches within 100. One that started with a failpoint
        // may reach it only now: without its successor the observed process would hold less than before.
        let mut after = Residue::of(pid)?;
        let deadline = Instant::now() + Duration::from_secs(3);
        while !after.same_handles(&before) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            self.replace_the_dead()?;
            after = Residue::of(pid)?;
        }
        self.report.residues.push((who.name(), before, after));
        Ok(())
    }

    fn phase(&mut self, length: Duration, may_die: fn(Role) -> bool) -> anyhow::Result<()> {
        self.failpoints = may_die;
        let end = Instant::now() + length;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_micros(self.rng.random_range(500..20_000)));
            self.replace_the_dead()?;
            self.resume(Instant::now());
            self.strike(may_die)?;
        }
        self.failpoints = |_| false;
        self.resume(end + Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
        self.replace_the_dead()
    }

    fn strike(&mut self, may_die: fn(Role) -> bool) -> anyhow::Result<()> {
        let index = self.rng.random_range(0..self.victims.len());
        let victim = &mut self.victims[index];
        let pid = Pid::from_child(&victim.child);
        if victim.resume_at.is_some() {
            return Ok(());
        }
        let dice = if may_die(victim.role) {
            self.rng.random_range(0..100)
        } else {
            99
        };
        let (signal, counter) = match dice {
            0..50 => (Signal::KILL, &mut self.report.kills.sigkill),
            50..65 => (Signal::SEGV, &mut self.report.kills.sigsegv),
            _ => (Signal::STOP, &mut self.report.kills.sigstop),
        };
        kill_process(pid, signal)?;
        *counter += 1;
        if signal == Signal::STOP {
            victim.resume_at =
                Some(Instant::now() + Duration::from_millis(self.rng.random_range(1..60)));
            self.report.writer_stops += u64::from(victim.role == Role::Writer);
        }
        Ok(())
    }

    fn resume(&mut self, now: Instant) {
        for victim in &mut self.victims {
            if victim.resume_at.is_some_and(|at| at <= now) {
                victim.resume_at = None;
                let _ = kill_process(Pid::from_child(&victim.child), Signal::CONT);
            }
        }
    }

    fn replace_the_dead(&mut self) -> anyhow::Result<()> {
        for i in 0..self.victims.len() {
            if let Some(status) = self.victims[i].child.try_wait()? {
                let fresh = self.spawn(self.victims[i].role)?;
                let dead = std::mem::replace(&mut self.victims[i], fresh);
                self.record_death(&dead, status)?;
            }
        }
        Ok(())
    }

    fn record_death(&mut self, dead: &Victim, status: ExitStatus) -> anyhow::Result<()> {
        self.sums.take(&dead.tally);
        match (status.signal().map(Signal::from_named_raw), dead.failpoint) {
            (Some(Some(Signal::ABORT)), Some(site)) => {
                *self.report.kills.failpoints.entry(site).or_default() += 1
            }
            (Some(Some(Signal::KILL | Signal::SEGV)), _) => {}
            _ => {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                anyhow::bail!("a {:?} ended by itself ({status}): {log}", dead.role);
            }
        }
        Ok(())
    }

    fn end(&mut self, mut victim: Victim) -> anyhow::Result<()> {
        victim.child.kill()?;
        victim.child.wait()?;
        self.sums.take(&victim.tally);
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for victim in &mut self.victims {
            let _ = victim.child.kill();
            let _ = victim.child.wait();
        }
    }
}
