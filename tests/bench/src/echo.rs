//! Ping-pong: a frame one way, 64 bytes back.

use crate::pair::{Other, Task};
use crate::stats;
use anyhow::Context;
use hanja_record::{StageName, Topic};
use hanja_ring::baseline::{Notice, Pair};
use hanja_ring::{Geometry, Lease, LeaseSubscriber, Publisher, Stamp};
use hanja_stage::Stage;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// The product's number of slots for frames.
pub const SLOTS: u32 = 8;
const WAIT: Duration = Duration::from_secs(2);
/// Polls without a new frame, some milliseconds, before a spinning side goes to sleep: the other rows need the processor.
pub const SPINS: u32 = 1 << 18;

/// How a side notices a frame, and what it does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Spins; leases the frame, does not touch it. Time one way.
    Polled,
    /// Sleeps until woken; leases the frame, does not touch it. Time one way.
    Woken,
    /// Spins; the frame is written whole, and read whole in place. Time both ways.
    Whole,
}

/// Our side of a ring of frames and a ring of answers.
#[derive(Debug)]
pub struct Echo {
    /// How both sides notice a frame.
    pub how: How,
    /// Bytes of a frame.
    pub size: u64,
    /// Slots of the ring.
    pub slots: u32,
    // Before the stage and the directory: dropped first.
    _other: Other,
    frames: Publisher,
    answers: LeaseSubscriber,
    content: Vec<u8>,
    _stage: Stage,
    _dir: tempfile::TempDir,
}

impl Echo {
    /// Starts both sides and waits until they see each other.
    ///
    /// # Errors
    /// No memory, or the other side does not come.
    pub fn start(child: &[&str], size: u64, slots: u32, how: How) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let run = dir.path().join("run");
        let stage = Stage::start(StageName::Capture, &run)?;
        let frames = stage.publisher(Topic::Frames, geometry(slots, size))?;
        let answers = Topic::Detections.lease(&run, StageName::Infer, 1);
        let mut echo = Self {
            how,
            size,
            slots,
            _other: Other::start(child, &Task::Echo { dir: run, how })?,
            frames,
            answers,
            content: vec![0x5a; if how == How::Whole { size as usize } else { 0 }],
            _stage: stage,
            _dir: dir,
        };
        let deadline = Instant::now() + 5 * WAIT;
        while echo.exchange().is_err() {
            anyhow::ensure!(
                Instant::now() < deadline,
                "the other process does not answer"
            );
        }
        Ok(echo)
    }

    /// Samples of one round, in nanoseconds.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn round(&mut self) -> anyhow::Result<Vec<u64>> {
        let (count, ways) = match self.how {
            How::Polled => (20_000, 2),
            How::Woken => (2_000, 2),
            How::Whole => ((300_000_000 / self.size) as usize, 1),
        };
        stats::sample(count, ways, || self.exchange())
    }

    /// Sends a frame and waits for the answer.
    fn exchange(&mut self) -> anyhow::Result<()> {
        let content = &self.content;
        let sent = self
            .frames
            .publish_with(self.size, |slot| slot.write(0, content), meta)?;
        sent.context("every slot is leased")?;
        let answer = next(&mut self.answers, self.how).context("no answer")?;
        black_box(answer.seq());
        Ok(())
    }
}

/// The other side: answers every frame until it is killed.
///
/// # Errors
/// No memory.
pub fn answer(dir: &Path, how: How) -> anyhow::Result<()> {
    let stage = Stage::start(StageName::Infer, dir)?;
    let mut answers = stage.publisher(Topic::Detections, geometry(SLOTS, 64))?;
    let mut frames = Topic::Frames.lease(dir, StageName::Capture, 1);
    loop {
        if let Some(frame) = next(&mut frames, how) {
            if how == How::Whole {
                black_box(sum(frame.payload()));
            }
            drop(frame);
            answers.publish_with(64, |_| {}, meta)?;
        }
    }
}

/// Reads every byte; the result keeps the reads from being optimised away.
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks::<8>().0.iter();
    words.fold(0, |sum, w| sum ^ u64::from_le_bytes(*w))
}

fn next(from: &mut LeaseSubscriber, how: How) -> Option<Lease> {
    if how != How::Woken {
        for _ in 0..SPINS {
            if let Some(lease) = from.poll() {
                return Some(lease);
            }
            std::hint::spin_loop();
        }
    }
    from.newest(WAIT)
}

fn geometry(slots: u32, size: u64) -> Geometry {
    Geometry {
        slots,
        meta_len: 16,
        payload_capacity: size,
    }
}

fn meta(stamp: Stamp) -> [u64; 2] {
    [stamp.generation, stamp.seq]
}

/// Ping-pong on a bare cache line.
#[derive(Debug)]
pub struct Bare {
    pair: Pair,
    notice: Notice,
    sent: u32,
    _other: Other,
}

impl Bare {
    /// Starts the other side.
    ///
    /// # Errors
    /// No memory, or it does not start.
    pub fn start(child: &[&str], notice: Notice) -> anyhow::Result<Self> {
        let pair = Pair::create()?;
        let page = pair.path().context("no path")?;
        let spin = notice == Notice::Spin;
        Ok(Self {
            pair,
            notice,
            sent: 0,
            _other: Other::start(child, &Task::Bare { page, spin })?,
        })
    }

    /// Samples of one round, one way, in nanoseconds.
    ///
    /// # Errors
    /// None; the signature is that of [`Echo::round`].
    pub fn round(&mut self) -> anyhow::Result<Vec<u64>> {
        let count = if self.notice == Notice::Spin {
            20_000
        } else {
            2_000
        };
        stats::sample(count, 2, || {
            self.pair.ping(self.sent..self.sent + 1, self.notice);
            self.sent += 1;
            Ok(())
        })
    }
}
