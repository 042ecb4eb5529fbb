//! What a tap's copy costs against memcpy: of the same frames, from the same memory, under the same state of the
//! caches. memcpy is what a lease allows.

use crate::stats::{Row, Table};
use anyhow::Context;
use hanja_record::{StageName, Topic};
use hanja_ring::{Geometry, Sample};
use hanja_stage::Stage;
use std::hint::black_box;
use std::time::{Duration, Instant};

const SIZE: usize = 921_600;
const SLOTS: u32 = 8;
const WAIT: Duration = Duration::from_secs(1);

fn geometry() -> Geometry {
    Geometry {
        slots: SLOTS,
        meta_len: 16,
        payload_capacity: SIZE as u64,
    }
}

/// A frame is written, then copied: alternately by a tap and by memcpy.
pub(crate) fn rows(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let run = dir.path().join("run");
    let stage = Stage::start(StageName::Capture, &run)?;
    let mut frames = stage.publisher(Topic::Frames, geometry())?;
    let mut tap = Topic::Frames.tap(&run, StageName::Capture);
    let mut lease = Topic::Frames.lease(&run, StageName::Capture, 1);
    let content = vec![0x5a; SIZE];
    let mut sample = Sample::default();
    let mut table = Table::default();
    for _ in 0..rounds {
        let (mut tapped, mut copied) = (Vec::new(), Vec::new());
        for frame in 0..800 {
            let sent = frames.publish(&[&content], |s| [s.generation, s.seq])?;
            sent.context("every slot is leased")?;
            if frame % 2 == 0 {
                let started = Instant::now();
                anyhow::ensure!(tap.newest(&mut sample, WAIT), "nothing to tap");
                tapped.push(started.elapsed().as_nanos() as u64);
            } else {
                let leased = lease.newest(WAIT).context("nothing to lease")?;
                let started = Instant::now();
                // Into the same memory: where it lies changes the time by a tenth.
                sample.payload.copy_from_slice(black_box(leased.payload()));
                copied.push(started.elapsed().as_nanos() as u64);
            }
            black_box(&sample.payload);
        }
        table.add("memcpy", SIZE as u64, None, copied);
        table.add("tap's copy", SIZE as u64, Some("memcpy"), tapped);
    }
    Ok(table.rows())
}

/// Size of the mapping of a ring, which is all the memory there is, however many read it.
pub(crate) fn ring_bytes() -> anyhow::Result<u64> {
    let dir = tempfile::tempdir()?;
    let stage = Stage::start(StageName::Capture, &dir.path().join("run"))?;
    Ok(stage.publisher(Topic::Frames, geometry())?.bytes())
}
