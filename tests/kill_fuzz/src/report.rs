//! The result of a run, and whether it is acceptable.

use crate::tally::{Sums, Tallies};
use anyhow::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Deaths and stops.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Kills {
    pub(crate) sigkill: u64,
    pub(crate) sigsegv: u64,
    pub(crate) sigstop: u64,
    /// By site: aborted right after a store there.
    pub(crate) failpoints: BTreeMap<&'static str, u64>,
}

/// Open descriptors of a process.
pub(crate) fn count_fds(pid: u32) -> std::io::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The resources a process holds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Residue {
    fds: usize,
    /// Mappings of rings and hazard pages.
    mappings: usize,
    rss_kib: u64,
}

impl Residue {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        Ok(Self {
            fds: count_fds(pid)?,
            mappings: maps.lines().filter(|l| l.contains("memfd:ring-")).count(),
            rss_kib: rss.trim().trim_end_matches("kB").trim().parse()?,
        })
    }

    pub(crate) fn same_handles(&self, other: &Self) -> bool {
        (self.fds, self.mappings) == (other.fds, other.mappings)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seed: u64,
    seconds: u64,
    pub(crate) kills: Kills,
    /// Frames published, and dropped since every slot was leased.
    frames: u64,
    dropped: u64,
    leases: u64,
    taps: u64,
    lapped: u64,
    torn_detected: u64,
    /// Torn, but delivered as good. Must be 0.
    torn_delivered: u64,
    /// Numbers that did not rise. Must be 0.
    backwards: u64,
    /// Voluntary context switches of the writing thread while publishing: each time it waited for something. A stop signal
    /// counts as one.
    writer_waits: u64,
    pub(crate) writer_stops: u64,
    /// Wall time: contains preemption and stops.
    longest_publish_us: u64,
    /// Before and after, of a process that lived while others died.
    pub(crate) residues: Vec<(&'static str, Residue, Residue)>,
    pub(crate) supervisor_fds: (usize, usize),
    complaints: Vec<String>,
}

impl Report {
    pub(crate) fn new(seed: u64, length: Duration) -> Self {
        Self {
            seed,
            seconds: length.as_secs(),
            kills: Kills::default(),
            frames: 0,
            dropped: 0,
            leases: 0,
            taps: 0,
            lapped: 0,
            torn_detected: 0,
            torn_delivered: 0,
            backwards: 0,
            writer_waits: 0,
            writer_stops: 0,
            longest_publish_us: 0,
            residues: Vec::new(),
            supervisor_fds: (0, 0),
            complaints: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, sums: &Sums) {
        self.frames = sums.get(Tallies::Frames);
        self.dropped = sums.get(Tallies::Dropped);
        self.leases = sums.get(Tallies::Leases);
        self.taps = sums.get(Tallies::Taps);
        self.lapped = sums.get(Tallies::Lapped);
        self.torn_detected = sums.get(Tallies::TornDetected);
        self.torn_delivered = sums.get(Tallies::Bad);
        self.backwards = sums.get(Tallies::Backwards);
        self.writer_waits = sums.get(Tallies::Waits);
        self.longest_publish_us = sums.get(Tallies::LongestPublishUs);
        self.complaints = sums.complaints.iter().take(20).cloned().collect();
    }

    /// Everything that must not happen and did.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.complaints.clone();
        let mut must = |good: bool, what: &str| {
            if !good {
                faults.push(what.to_owned());
            }
        };
        must(
            self.torn_delivered == 0,
            "torn frames were delivered as good",
        );
        must(self.backwards == 0, "numbers ran backwards");
        must(
            self.writer_waits <= self.writer_stops,
            "the writer waited for something",
        );
        must(
            self.residues
                .iter()
                .all(|(_, before, after)| after.same_handles(before)),
            "descriptors or mappings were left behind",
        );
        must(
            self.residues
                .iter()
                .all(|(_, before, after)| after.rss_kib <= before.rss_kib + 2048),
            "memory grew",
        );
        must(
            self.supervisor_fds.0 == self.supervisor_fds.1,
            "the supervisor leaks descriptors",
        );
        // A run without kills or frames proves nothing.
        let busy = [
            self.frames,
            self.leases,
            self.taps,
            self.kills.sigkill,
            self.kills.sigsegv,
            self.kills.sigstop,
        ];
        must(busy.iter().all(|n| *n > 0), "nothing happened");
        must(
            self.seconds < 20 || self.kills.failpoints.len() == 8,
            "a failpoint was never reached",
        );
        faults
    }

    pub(crate) fn print(&self) {
        let k = &self.kills;
        let failpoints: u64 = k.failpoints.values().sum();
        println!("seed {}, {} s", self.seed, self.seconds);
        println!(
            "deaths: {} SIGKILL, {} SIGSEGV, {failpoints} right after a store {:?}; {} stops",
            k.sigkill, k.sigsegv, k.failpoints, k.sigstop
        );
        println!(
            "frames: {} published, {} dropped with every slot leased",
            self.frames, self.dropped
        );
        println!(
            "leases: {}; taps: {}, lapped {}",
            self.leases, self.taps, self.lapped
        );
        println!(
            "torn: {} detected, {} delivered",
            self.torn_detected, self.torn_delivered
        );
        println!(
            "writer: waited {} times ({} stop signals), longest publish {} us",
            self.writer_waits, self.writer_stops, self.longest_publish_us
        );
        for (who, before, after) in &self.residues {
            println!(
                "{who} that lived: descriptors {} -> {}, mappings {} -> {}, memory {} -> {} KiB",
                before.fds,
                after.fds,
                before.mappings,
                after.mappings,
                before.rss_kib,
                after.rss_kib
            );
        }
    }
}
