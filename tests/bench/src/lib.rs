//! How fast the ring is, between real processes: `hanja bench ring`, and the comparison with iceoryx2 in `peer/`.
//!
//! Everything that is compared runs interleaved, round by round, in one run; what is reported are medians over the
//! rounds and the median of each round's ratio. A shared machine changes from minute to minute, ratios much less.

#![forbid(unsafe_code)]

pub mod echo;
pub mod pair;
pub mod publish;
pub mod stats;
pub mod tap;

use echo::{Echo, How, SLOTS};
use hanja_ring::baseline::Notice;
use serde::Serialize;
use stats::Row;
use std::fmt;

/// A detection record's scale, a 640x480 RGB frame, a 1080p RGB frame.
pub const SIZES: [u64; 3] = [64, 921_600, 6_220_800];

/// Rings for frames that are written and read whole: the product's, in which a tap has seven frames' time to copy and
/// which therefore does not fit the cache; and the smallest that one leasing reader needs.
pub const WHOLE: [(&str, u32); 2] = [
    ("ring, written and read whole", SLOTS),
    ("ring of 3 slots, written and read whole", 3),
];

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Processor and kernel.
    pub machine: String,
    /// Rounds behind each median.
    pub rounds: usize,
    /// One line per thing measured.
    pub rows: Vec<Row>,
    /// What a ring of 8 slots of 921,600 bytes takes, whoever reads it.
    pub ring_bytes_8x921600: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; medians of {} rounds", self.machine, self.rounds)?;
        writeln!(f, "{:>9}  {:>10}  {:>10}", "bytes", "p50 us", "p99 us")?;
        for row in &self.rows {
            write!(
                f,
                "{:>9}  {:>10.3}  {:>10.3}  {}",
                row.bytes, row.p50_us, row.p99_us, row.name
            )?;
            if let Some((name, ratio)) = &row.against {
                write!(f, ": {ratio:.2} x {name}")?;
            }
            writeln!(f)?;
        }
        let bytes = self.ring_bytes_8x921600;
        writeln!(
            f,
            "{bytes:>9} bytes in all for a ring of 8 frames, nothing per tap"
        )
    }
}

/// Runs everything. `child` are the arguments that make the current executable call [`pair::serve`] with one more.
///
/// # Errors
/// No memory, or a child that does not start.
pub fn run(child: &[&str], rounds: usize) -> anyhow::Result<Report> {
    let mut rows = Vec::new();
    rows.extend(handover(child, rounds)?);
    rows.extend(tap::rows(rounds)?);
    rows.extend(publish::rows(child, rounds)?);
    Ok(Report {
        machine: stats::machine(),
        rounds,
        rows,
        ring_bytes_8x921600: tap::ring_bytes()?,
    })
}

/// Hand-over one way, polled and woken, against the bare cache line and the bare futex; and whole frames.
fn handover(child: &[&str], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut line = echo::Bare::start(child, Notice::Spin)?;
    let mut futex = echo::Bare::start(child, Notice::Futex)?;
    let mut rings = Vec::new();
    for size in SIZES {
        rings.push((
            "ring, polled",
            Echo::start(child, size, SLOTS, How::Polled)?,
        ));
        rings.push(("ring, woken", Echo::start(child, size, SLOTS, How::Woken)?));
    }
    for size in &SIZES[1..] {
        for (name, slots) in WHOLE {
            rings.push((name, Echo::start(child, *size, slots, How::Whole)?));
        }
    }
    let _pinned = pair::Pinned::to(false)?;
    let mut table = stats::Table::default();
    for _ in 0..rounds {
        table.add("cache line, spun on", 8, None, line.round()?);
        table.add("futex", 8, None, futex.round()?);
        for (name, echo) in &mut rings {
            let against = match echo.how {
                How::Polled => Some("cache line, spun on"),
                How::Woken => Some("futex"),
                How::Whole => None,
            };
            table.add(name, echo.size, against, echo.round()?);
        }
    }
    Ok(table.rows())
}
