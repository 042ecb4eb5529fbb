//! The one clock of the pipeline: CLOCK_MONOTONIC in nanoseconds, the clock V4L2 stamps frames with.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC; comparable between all processes of one machine since boot.
#[must_use]
pub fn now_ns() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    // Both parts are non-negative for this clock.
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
}

/// Milliseconds between two stamps; 0 where either is unset (0) or they run backwards.
#[must_use]
pub fn span_ms(from_ns: u64, to_ns: u64) -> f64 {
    if from_ns == 0 || to_ns == 0 {
        return 0.0;
    }
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}
