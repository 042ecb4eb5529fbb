//! The victims: what each does until it is killed.

use crate::frames::{GEOMETRY, fault, fill};
use crate::tally::{Tallies, Tally};
use anyhow::Context;
use hanja_record::{StageName, Topic};
use hanja_ring::{Geometry, Lease, Sample, Stamp};
use hanja_stage::Stage;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_millis(20);
const QUOTA: usize = 2;

/// Publishes bursts at full speed with pauses between them, and counts how often it waited.
pub(crate) fn writer(
    dir: &Path,
    seed: u64,
    sabotage: bool,
    mut tally: Tally,
) -> anyhow::Result<()> {
    let mut rng = Pcg64::seed_from_u64(seed);
    // The writer before was killed a moment ago; its socket may still answer.
    let stage = retry(|| Stage::start(StageName::Capture, dir))?;
    // With four slots the readers can hold all but the newest: frames are dropped.
    let slots = [4, 6, 8][rng.random_range(0..3)];
    let mut publisher = stage.publisher(Topic::Frames, Geometry { slots, ..GEOMETRY })?;
    let mut payload = Vec::new();
    let thread = format!(
        "/proc/self/task/{}/status",
        rustix::thread::gettid().as_raw_nonzero()
    );
    while !stage.stopping() {
        let before = waits(&thread)?;
        for _ in 0..rng.random_range(1..200) {
            let meta = fill(publisher.next(), &mut payload);
            if sabotage && rng.random_bool(0.001) {
                payload[0] ^= 1;
            }
            let started = Instant::now();
            let done = publisher.publish(&[&payload], |_| meta)?;
            let took = started.elapsed().as_micros() as u64;
            tally.longest(took);
            tally.add(
                if done.is_some() {
                    Tallies::Frames
                } else {
                    Tallies::Dropped
                },
                1,
            );
        }
        // A thread that is preempted is not waiting; one that sleeps in the kernel, for a lock or a page, is. So is
        // one that is stopped by a signal: the supervisor knows how many it sent.
        tally.add(Tallies::Waits, waits(&thread)? - before);
        tally.save()?;
        if rng.random_bool(0.7) {
            std::thread::sleep(Duration::from_micros(rng.random_range(0..5000)));
        }
    }
    Ok(())
}

/// Voluntary context switches of this thread so far.
fn waits(status: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(status)?;
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
    Ok(line
        .context("no voluntary_ctxt_switches in /proc")?
        .trim()
        .parse()?)
}

fn retry<T, E: std::error::Error + Send + Sync + 'static>(
    mut make: impl FnMut() -> Result<T, E>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match make() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            other => return Ok(other?),
        }
    }
}

/// Leases, checks, holds for a while, checks again.
pub(crate) fn lease(dir: &Path, seed: u64, mut tally: Tally) -> anyhow::Result<()> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut subscriber = Topic::Frames.lease(dir, StageName::Capture, QUOTA as u32);
    let mut held: VecDeque<Lease> = VecDeque::new();
    let (mut newest, mut scratch) = (Stamp::default(), Vec::new());
    loop {
        if let Some(lease) = subscriber.newest(WAIT) {
            tally.in_order(&mut newest, stamp(&lease));
            check(&lease, &mut scratch, &mut tally);
            tally.add(Tallies::Leases, 1);
            held.push_back(lease);
        }
        if rng.random_bool(0.3) {
            std::thread::sleep(Duration::from_micros(rng.random_range(0..3000)));
        }
        // One more, older than the newest, by its number.
        if rng.random_bool(0.2) && newest.seq > 3 && held.len() < QUOTA {
            let older = newest.seq - rng.random_range(1..4);
            held.extend(subscriber.exact(newest.generation, older));
        }
        while held.len() >= QUOTA || (!held.is_empty() && rng.random_bool(0.5)) {
            if let Some(lease) = held.pop_front() {
                check(&lease, &mut scratch, &mut tally);
            }
        }
        tally.save_now_and_then()?;
    }
}

fn stamp(lease: &Lease) -> Stamp {
    Stamp {
        generation: lease.generation(),
        seq: lease.seq(),
    }
}

/// (D6) A reader leases within microseconds of getting its page, again and again: what it sees is whole.
fn check(lease: &Lease, scratch: &mut Vec<u8>, tally: &mut Tally) {
    if let Some(what) = fault(stamp(lease), lease.meta(), lease.payload(), scratch) {
        tally.bad(&format!("lease: {what}"));
    }
}

/// Copies, newest first or in order, and checks.
pub(crate) fn tap(dir: &Path, seed: u64, mut tally: Tally) -> anyhow::Result<()> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let in_order = seed.is_multiple_of(2);
    let mut subscriber = Topic::Frames.tap(dir, StageName::Capture);
    let (mut sample, mut newest, mut scratch) = (Sample::default(), Stamp::default(), Vec::new());
    loop {
        let retries = sample.torn_retries;
        let got = if in_order {
            subscriber.next(&mut sample, WAIT)
        } else {
            subscriber.newest(&mut sample, WAIT)
        };
        tally.add(
            Tallies::TornDetected,
            u64::from(sample.torn_retries - retries),
        );
        if got {
            let stamp = Stamp {
                generation: sample.generation,
                seq: sample.seq,
            };
            tally.in_order(&mut newest, stamp);
            if let Some(what) = fault(stamp, &sample.meta, &sample.payload, &mut scratch) {
                tally.bad(&format!("tap: {what}"));
            }
            tally.add(Tallies::Taps, 1);
            tally.add(Tallies::Lapped, sample.lapped);
        }
        if rng.random_bool(0.1) {
            std::thread::sleep(Duration::from_micros(rng.random_range(0..2000)));
        }
        tally.save_now_and_then()?;
    }
}
