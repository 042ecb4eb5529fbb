//! What the stages share: the ring, the records in it, the control socket, configuration, telemetry, the stage runtime.

#![deny(unsafe_code)]

pub mod accounting;
pub mod clock;
pub mod config;
mod control;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod liveness;
pub mod logging;
pub mod process;
pub mod record;
pub mod ring;
pub mod stage;
mod subscribe;
pub mod taps;
pub mod telemetry;

/// What infer still calls it by.
pub mod balance {
    pub use crate::accounting::RecordCheck as RecordBalance;
}

pub use control::Presence;
pub use subscribe::{LeaseSubscriber, TapSubscriber};
