//! What taps and a stopped leaseholder cost the writer: the time of a publish at 240 frames a second.

use crate::pair::{Other, Task};
use crate::stats::{Row, Table};
use hanja_record::{StageName, Topic};
use hanja_ring::{Geometry, Publisher};
use hanja_stage::Stage;
use std::path::Path;
use std::time::{Duration, Instant};

const SIZE: usize = 921_600;
const EVERY: Duration = Duration::from_nanos(1_000_000_000 / 240);
const FRAMES: u32 = 240;
const BASE: &str = "publish at 240 fps, alone";

enum Readers {
    Taps(usize),
    StoppedLeaseholder,
}

/// Publish times with nobody, 1, 3, 16 taps that copy without a pause, and a leaseholder that is stopped.
pub(crate) fn rows(child: &[&str], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let run = dir.path().join("run");
    let stage = Stage::start(StageName::Capture, &run)?;
    let geometry = Geometry {
        slots: 8,
        meta_len: 16,
        payload_capacity: SIZE as u64,
    };
    let mut frames = stage.publisher(Topic::Frames, geometry)?;
    let kinds = [
        (BASE, Readers::Taps(0)),
        ("publish at 240 fps, 1 tap", Readers::Taps(1)),
        ("publish at 240 fps, 3 taps", Readers::Taps(3)),
        ("publish at 240 fps, 16 taps", Readers::Taps(16)),
        (
            "publish at 240 fps, a stopped leaseholder",
            Readers::StoppedLeaseholder,
        ),
    ];
    let mut table = Table::default();
    for _ in 0..rounds {
        for (name, kind) in &kinds {
            let _others = start_readers(kind, child, &run, &mut frames)?;
            let against = (*name != BASE).then_some(BASE);
            table.add(name, SIZE as u64, against, paced(&mut frames)?);
        }
    }
    Ok(table.rows())
}

/// Starts the readers and waits until they are attached.
fn start_readers(
    kind: &Readers,
    child: &[&str],
    run: &Path,
    frames: &mut Publisher,
) -> anyhow::Result<Vec<Other>> {
    let dir = run.to_owned();
    match kind {
        Readers::Taps(count) => {
            let task = Task::Tap { dir };
            let taps = (0..*count).map(|_| Other::start(child, &task));
            let taps = taps.collect::<anyhow::Result<_>>()?;
            std::thread::sleep(Duration::from_millis(100));
            Ok(taps)
        }
        Readers::StoppedLeaseholder => {
            let held = run.with_extension("held");
            let other = Other::start(child, &Task::Hold { dir })?;
            while !held.exists() {
                frames.publish(&[b"take this"], |s| [s.generation, s.seq])?;
                std::thread::sleep(Duration::from_millis(2));
            }
            std::fs::remove_file(held)?;
            other.stop()?;
            Ok(vec![other])
        }
    }
}

fn paced(frames: &mut Publisher) -> anyhow::Result<Vec<u64>> {
    let content = vec![0x5a; SIZE];
    let mut due = Instant::now();
    let mut samples = Vec::new();
    for _ in 0..FRAMES {
        due += EVERY;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let started = Instant::now();
        frames.publish(&[&content], |s| [s.generation, s.seq])?;
        samples.push(started.elapsed().as_nanos() as u64);
    }
    Ok(samples)
}
