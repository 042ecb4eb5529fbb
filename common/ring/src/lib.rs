//! Lock-free shared memory between one writing process and any number of readers, on Linux.
//!
//! One memfd per writer generation holds a header and N slots; nothing is ever repaired in place. Two ways to read:
//! a *lease* (trusted stages: zero copy, the writer walks around the slot) and a *tap* (anybody: copies out, checks,
//! writes nothing). The writer is wait-free: if every slot is leased, it publishes nothing and says so. Readers find the ring
//! through a socket of the writer, and attach again when the writer was started anew. The README has a whole program.
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
//! | `control` | the sockets: who gets a ring's descriptors, and how each side learns that the other is gone |
//! | `publisher`, `subscribe` | both ends of a topic for as long as one likes, over any number of generations |
//!
//! Topics are a number and a name, metadata are bytes: what travels is the user's affair. The promise, its proof
//! obligations and the crash table: `docs/design.md` of the repository; the memory in prose: `docs/abi.md` there.

#![allow(unsafe_code)]

mod atomic;
pub mod baseline;
mod clock;
mod control;
mod copy;
#[cfg(feature = "counts")]
pub mod counts;
mod error;
#[cfg(fuzzing)]
pub mod fuzz;
mod hazard;
mod layout;
mod memfd;
#[cfg(hanja_loom)]
mod model;
mod protocol;
mod publisher;
mod reader;
mod subscribe;
#[cfg(all(test, not(hanja_loom)))]
mod threads;
mod types;
mod wait;
mod words;
mod writer;

#[cfg(feature = "failpoints")]
pub use atomic::failpoint;
pub use clock::now_ns;
pub use control::{Advice, Door, Listeners, Presence, Server, listener, socket_path};
pub use error::RingError;
pub use hazard::{MAX_QUOTA, MAX_READERS};
pub use publisher::Publisher;
pub use reader::{Lease, RingMapping};
pub use subscribe::{LeaseSubscriber, TapSubscriber};
pub use types::{ABI_MAJOR, ABI_MINOR, Geometry, Sample, Stamp, Topic};
pub use writer::Slot;

#[cfg(not(target_endian = "little"))]
compile_error!("rings are little-endian; there is no big-endian port");

/// Whether this kernel can hold a ring: `Ok(true)` with every seal, `Ok(false)` without `F_SEAL_FUTURE_WRITE`.
///
/// # Errors
/// No memfd, no memory, or no seals at all.
pub fn probe() -> Result<bool, RingError> {
    use std::os::fd::AsFd;
    let (fd, _mapping) = memfd::create_mapped("ring-probe", 4096, memfd::Writable::Existing)?;
    Ok(memfd::Mapping::map(fd.as_fd(), 4096, true).is_err())
}

/// The README's program is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
