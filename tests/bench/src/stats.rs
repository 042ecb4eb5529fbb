//! Medians, and medians of ratios.

use serde::Serialize;
use std::time::Instant;

/// One thing measured.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What.
    pub name: String,
    /// Payload in bytes.
    pub bytes: u64,
    /// Microseconds: median over rounds of each round's median.
    pub p50_us: f64,
    /// The same for each round's 99th percentile; on a busy machine this is the scheduler.
    pub p99_us: f64,
    /// What it is compared with, and how many times as long it takes: median of the rounds' ratios.
    pub against: Option<(String, f64)>,
}

/// Results of all rounds, in the order of the first.
#[derive(Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    bytes: u64,
    against: Option<String>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Table {
    /// A round's samples, in nanoseconds. `against` names a row of the same size, or of any if it has only one.
    pub fn add(&mut self, name: &str, bytes: u64, against: Option<&str>, mut ns: Vec<u64>) {
        ns.sort_unstable();
        let at = |q: usize| ns.get((ns.len() * q / 100).min(ns.len().saturating_sub(1)));
        let us = |q| at(q).map_or(0.0, |n| *n as f64 / 1000.0);
        let (p50, p99) = (us(50), us(99));
        let known = |e: &&mut Entry| e.name == name && e.bytes == bytes;
        if let Some(entry) = self.entries.iter_mut().find(known) {
            entry.p50.push(p50);
            entry.p99.push(p99);
            return;
        }
        self.entries.push(Entry {
            name: name.to_owned(),
            bytes,
            against: against.map(str::to_owned),
            p50: vec![p50],
            p99: vec![p99],
        });
    }

    /// The medians.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |e: &Entry| Row {
            name: e.name.clone(),
            bytes: e.bytes,
            p50_us: median(e.p50.clone()),
            p99_us: median(e.p99.clone()),
            against: e.against.as_ref().and_then(|name| {
                let other = self.find(name, e.bytes)?;
                let ratios = e.p50.iter().zip(&other.p50).map(|(a, b)| a / b);
                Some((name.clone(), median(ratios.collect())))
            }),
        };
        self.entries.iter().map(row).collect()
    }

    fn find(&self, name: &str, bytes: u64) -> Option<&Entry> {
        let named = || self.entries.iter().filter(|e| e.name == name);
        named()
            .find(|e| e.bytes == bytes)
            .or_else(|| named().next())
    }
}

/// One round: the times of `count` calls of `step` in nanoseconds, each divided by `ways`, after a tenth as many that do
/// not count.
///
/// # Errors
/// The first call that fails.
pub fn sample(
    count: usize,
    ways: u64,
    mut step: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<u64>> {
    for _ in 0..count / 10 {
        step()?;
    }
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        step()?;
        samples.push(started.elapsed().as_nanos() as u64 / ways);
    }
    Ok(samples)
}

/// Middle value; 0 of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Processor and kernel of this machine, for people to read.
#[must_use]
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = rustix::system::uname();
    format!(
        "{} x {}, Linux {}",
        cores,
        model.map_or("unknown processor", |(_, name)| name.trim()),
        uname.release().to_string_lossy()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut table = Table::default();
        // The machine slows down eightfold on the way; the ratio does not.
        for slow in [1, 2, 8] {
            table.add("base", 8, None, vec![1000 * slow; 10]);
            table.add("ours", 64, Some("base"), vec![1500 * slow; 10]);
        }
        let rows = table.rows();
        assert_eq!(rows[1].against, Some(("base".to_owned(), 1.5)));
        assert_eq!(rows[0].p50_us, 2.0);
    }
}
