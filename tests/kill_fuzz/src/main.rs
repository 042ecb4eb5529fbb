//! Kills the processes around a ring at random, and at every store, and checks every byte that is delivered.
//!
//! Real processes, the real control sockets: one writer, two leasing readers, two taps. They get SIGKILL, SIGSEGV,
//! SIGSTOP and SIGCONT at random times, or abort by themselves right after the n-th store at a named place of the
//! protocol (feature `failpoints`). Three phases: everybody dies; only readers die, and the writer is checked
//! for what they leave behind; only the writer dies, and a leasing reader is checked.
//!
//! `cargo run --release -p hanja-kill-fuzz --features failpoints -- --minutes 10`

#![forbid(unsafe_code)]

mod frames;
mod report;
mod roles;
mod supervisor;
mod tally;

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(about = "Kills the processes around a ring and checks what they deliver")]
struct Args {
    /// How long, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long, in minutes.
    #[arg(long, conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// Same seed, same kills (not the same instants).
    #[arg(long)]
    seed: Option<u64>,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
    /// The writer spoils a byte now and then: must end in failure.
    #[arg(long)]
    sabotage: bool,
    #[command(flatten)]
    child: ChildArgs,
}

/// How the supervisor starts itself as a victim.
#[derive(Debug, clap::Args)]
struct ChildArgs {
    #[arg(long, hide = true, requires = "dir")]
    role: Option<Role>,
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
    #[arg(long, hide = true)]
    tally: Option<PathBuf>,
    /// SITE:N
    #[arg(long, hide = true)]
    failpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Writer,
    Lease,
    Tap,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Writer => "writer",
            Role::Lease => "lease",
            Role::Tap => "tap",
        }
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    if let (Some(role), Some(dir), Some(tally)) =
        (args.child.role, &args.child.dir, &args.child.tally)
    {
        arm(args.child.failpoint.as_deref());
        let tally = tally::Tally::create(tally)?;
        return match role {
            Role::Writer => roles::writer(dir, seed, args.sabotage, tally),
            Role::Lease => roles::lease(dir, seed, tally),
            Role::Tap => roles::tap(dir, seed, tally),
        };
    }
    let length = Duration::from_secs(args.minutes.map_or(args.seconds, |m| 60 * m));
    let report = supervisor::run(length, seed, args.sabotage)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    let faults = report.faults();
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

fn arm(failpoint: Option<&str>) {
    let parsed = failpoint.and_then(|f| f.split_once(':'));
    if let Some((site, nth)) = parsed
        && let Some(site) = hanja_ring::failpoint::SITES.iter().find(|s| **s == site)
        && let Ok(nth) = nth.parse()
    {
        hanja_ring::failpoint::arm(site, nth);
    }
}
