//! The ring: lock-free shared memory between one writing process and any number of readers.
//!
//! One memfd per writer generation holds a header and N slots; nothing is ever repaired in place. Two ways to read:
//! a *lease* (trusted stages: zero copy, the writer walks around the slot) and a *tap* (anybody: copies out, checks,
//! writes nothing). The writer is wait-free: if every slot is leased it drops the frame and says so.
//!
//! | file | idea |
//! |---|---|
//! | `layout` | offsets, the state word |
//! | `atomic` | every access to shared words by name, with its ordering and its partner |
//! | `words`, `copy` | shared memory as a row of atomic words; payloads in and out |
//! | `protocol` | claim, publish, lease, tap |
//! | `model` | the protocol under loom, and what happens to it when an ordering is weakened |
//! | `hazard` | who holds which slot |
//! | `memfd` | sealed memory, mappings |
//! | `wait` | futex wake-up |
//! | `writer`, `reader` | one generation's two ends |
//!
//! The promise, its proof obligations and the crash table: `docs/design.md`.

#![allow(unsafe_code)]

mod atomic;
pub mod baseline;
mod copy;
#[cfg(feature = "counts")]
pub mod counts;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
pub(crate) mod hazard;
mod layout;
mod memfd;
#[cfg(hanja_loom)]
mod model;
mod protocol;
pub(crate) mod reader;
#[cfg(all(test, not(hanja_loom)))]
mod threads;
mod wait;
mod words;
pub(crate) mod writer;

#[cfg(feature = "failpoints")]
pub use atomic::failpoint;
pub use reader::{Lease, RingMapping};
pub use writer::Slot;

use crate::record::ABI_MAJOR;
use std::io;

/// Whether this kernel can hold a ring: `Ok(true)` with every seal, `Ok(false)` without `F_SEAL_FUTURE_WRITE`.
///
/// # Errors
/// No memfd, no memory, or no seals at all.
pub fn probe() -> Result<bool, RingError> {
    use std::os::fd::AsFd;
    let (fd, _mapping) = memfd::create_mapped("hanja-probe", 4096, memfd::Writable::Existing)?;
    Ok(memfd::Mapping::map(fd.as_fd(), 4096, true).is_err())
}

/// What a ring carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Topic {
    /// Pictures, served by capture.
    Frames = 1,
    /// Detection records, served by infer.
    Detections = 2,
    /// One [`StageStats`](crate::record::StageStats) a second, served by every stage.
    Stats = 3,
    /// What `synth:` drew where, as detection records; served by capture on request.
    Truth = 4,
    /// Detection records as render handled them, with its own times; served by render.
    Presented = 5,
}

impl Topic {
    /// The name used on the command line and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Detections => "detections",
            Self::Stats => "stats",
            Self::Truth => "truth",
            Self::Presented => "presented",
        }
    }

    pub(crate) fn from_u16(n: u16) -> Option<Self> {
        let all = [
            Self::Frames,
            Self::Detections,
            Self::Stats,
            Self::Truth,
            Self::Presented,
        ];
        all.into_iter().find(|t| *t as u16 == n)
    }
}

/// Size of a ring. Its memory is about `slots * payload_capacity`, whatever the number of readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// 2 to 128. At least one being written, the newest, every slot that may be leased, two for taps to finish.
    pub slots: u32,
    /// Bytes of metadata per slot, a multiple of 8, at most 4032.
    pub meta_len: u32,
    /// Largest payload in bytes, 1 to 256 MiB.
    pub payload_capacity: u64,
}

/// Which publish: generation of the ring and number within it, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// One writer life with one geometry; microseconds of CLOCK_MONOTONIC at its creation.
    pub generation: u64,
    /// Number of the publish.
    pub seq: u64,
}

/// A slot copied out by a tap. Reuse one: its buffers are kept.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Generation it came from.
    pub generation: u64,
    /// Its number in that generation.
    pub seq: u64,
    /// Slots overwritten between the previous sample and this one, before they could be read.
    pub lapped: u64,
    /// Copies thrown away because the writer was faster, since this `Sample` was made.
    pub torn_retries: u32,
    /// Metadata.
    pub meta: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
}

/// What can go wrong with shared memory.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// A system call failed.
    #[error(
        "shared memory: {step} of {len} bytes failed: {source}; free memory or lower the frame size"
    )]
    Memory {
        /// The call.
        step: &'static str,
        /// Bytes wanted.
        len: u64,
        /// Why.
        source: io::Error,
    },
    /// A descriptor that is no memfd.
    #[error("what the other side passed is not shared memory: {step}: {source}")]
    Foreign {
        /// The call that it refused.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Numbers outside the limits of [`Geometry`].
    #[error("a ring cannot have {} slots of {} + {} bytes", .0.slots, .0.meta_len, .0.payload_capacity)]
    Geometry(Geometry),
    /// A payload that does not fit.
    #[error("payload of {len} bytes does not fit the ring's slots of {capacity}")]
    TooLarge {
        /// Its size.
        len: u64,
        /// The slot's.
        capacity: u64,
    },
    /// A writer with another layout.
    #[error(
        "ring of ABI version {0}, this program reads version {ABI_MAJOR}: use the same release on both sides"
    )]
    Version(u16),
    /// Bytes that no ring of ours has.
    #[error("not a usable ring: {what} is {value:#x}")]
    Header {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A file that could be truncated under our feet.
    #[error("shared memory is not sealed (seals {0:#x}): refused, since its owner could shrink it")]
    Unsealed(u32),
}
