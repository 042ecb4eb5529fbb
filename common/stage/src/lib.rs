//! What a daemon of the pipeline is made of, and what is known of one from outside.
//!
//! | module | idea |
//! |---|---|
//! | `stage` | the process: runtime directory, sockets, signals, readiness, watchdog, reload |
//! | `activation` | sockets that the service manager made |
//! | `config`, `logging` | the configuration file; where messages go |
//! | `telemetry` | once a second: a log line, and statistics in the ring |
//! | `accounting` | what became of every frame, and whether its times and counts add up |
//! | `liveness` | from what was seen to what is the matter |
//! | `process` | how child processes ended |

#![deny(unsafe_code)]

pub mod accounting;
mod activation;
pub mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod liveness;
pub mod logging;
pub mod process;
mod stage;
pub mod telemetry;

pub use stage::{EXIT_CONFIG, ReadConfig, RuntimeDir, Stage, StageError, is_managed};
