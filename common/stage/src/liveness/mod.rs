//! Whether the pipeline shows what is there now: one judgement for `/healthz`, `hanja status`, the views and the
//! watchdog.
//!
//! It goes by the age of the data and by nothing else. A process that answers, a connection that stands, a rate that
//! was good a second ago prove nothing; a frame that left the sensor a moment ago does. What is known beside that (a
//! process that is stopped, a stage that nobody started) only explains. `docs/metrics.md` has the states in a table,
//! `docs/decisions/0023-liveness.md` the reasons.

mod health;
mod judge;
mod observe;

pub use hanja_ring::Presence;
pub use health::{
    FRESH, Health, Liveness, NOTICES, Notice, Process, SILENT, SLOWEST, STANDS, START, Snapshot,
    StageSnapshot, Stages, State,
};
pub use judge::{judge, reports};
pub use observe::Observer;

#[cfg(test)]
mod tests;
