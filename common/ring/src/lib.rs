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
mod wait;
mod words;
mod writer;

#[cfg(feature = "failpoints")]
pub use atomic::failpoint;
pub use clock::now_ns;
pub use control::{Advice, Door, Listeners, Presence, Server, listener, socket_path};
pub use hazard::{MAX_QUOTA, MAX_READERS};
pub use publisher::Publisher;
pub use reader::{Lease, RingMapping};
pub use subscribe::{LeaseSubscriber, TapSubscriber};
pub use writer::Slot;

use std::fmt;
use std::io;

/// Major version of the memory's layout and of the control messages: the other side refuses another one.
pub const ABI_MAJOR: u16 = 1;
/// Minor version: grows when a reserved word gets a meaning; the other side accepts any.
pub const ABI_MINOR: u16 = 2;

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

/// What a ring carries: a number, by which both sides know it, and a name for people.
///
/// ```
/// use hanja_ring::Topic;
/// const PICTURES: Topic = Topic::new(1, "pictures");
/// assert_eq!((PICTURES.number(), PICTURES.name()), (1, "pictures"));
/// ```
#[derive(Clone, Copy)]
pub struct Topic {
    number: u16,
    name: &'static str,
}

impl Topic {
    /// `name` also names the memory, as `ring-NAME` in `/proc/PID/maps`.
    #[must_use]
    pub const fn new(number: u16, name: &'static str) -> Self {
        Self { number, name }
    }

    /// The number in headers and messages.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.number
    }

    /// The name in messages to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// By number: names are for people.
impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Topic {}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({}, {})", self.number, self.name)
    }
}

/// Size of a ring. Its memory is about `slots * payload_capacity`, whatever the number of readers.
///
/// ```
/// // Pictures of 640x480 in two bytes a pixel, with 256 bytes of metadata each: five megabytes.
/// let geometry = hanja_ring::Geometry { slots: 8, meta_len: 256, payload_capacity: 640 * 480 * 2 };
/// # let _ = geometry;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// 2 to 128. At least one being written, the newest, every slot that may be leased, two for taps to finish.
    pub slots: u32,
    /// Bytes of metadata per slot, a multiple of 8, at most 4032.
    pub meta_len: u32,
    /// Largest payload in bytes, 1 to 256 MiB.
    pub payload_capacity: u64,
}

/// Which publish: generation of the ring and number within it, from 1. Ordered as they were published.
///
/// ```
/// use hanja_ring::Stamp;
/// let last_of_old = Stamp { generation: 10, seq: 900 };
/// let first_of_new = Stamp { generation: 11, seq: 1 };
/// assert!(last_of_old < first_of_new);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// One writer life with one geometry; microseconds of CLOCK_MONOTONIC at its creation.
    pub generation: u64,
    /// Number of the publish.
    pub seq: u64,
}

/// A slot copied out by a tap. Reuse one: its buffers are kept.
///
/// ```
/// # use hanja_ring::*;
/// # let directory = tempfile::tempdir()?;
/// # let topic = Topic::new(1, "pictures");
/// # let server = Server::start(directory.path(), "camera", &[topic], Listeners::default())?;
/// # let geometry = Geometry { slots: 4, meta_len: 0, payload_capacity: 64 };
/// # let mut pictures = server.publisher(topic, geometry)?;
/// # let wait = std::time::Duration::from_secs(2);
/// # let mut tap = TapSubscriber::new(directory.path(), "camera", topic, Advice::default());
/// let mut sample = Sample::default();
/// # pictures.publish(&[b"a picture"], |_| ())?;
/// assert!(tap.next(&mut sample, wait));
/// assert_eq!((sample.seq, sample.lapped, sample.payload.len()), (1, 0, 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// # use hanja_ring::*;
/// # let directory = tempfile::tempdir()?;
/// # let topic = Topic::new(1, "pictures");
/// # let server = Server::start(directory.path(), "camera", &[topic], Listeners::default())?;
/// # let geometry = Geometry { slots: 4, meta_len: 0, payload_capacity: 64 };
/// # let mut pictures = server.publisher(topic, geometry)?;
/// let refused = pictures.publish(&[&[0; 65]], |_| ()).unwrap_err();
/// assert!(matches!(refused, RingError::TooLarge { len: 65, capacity: 64 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// A system call failed.
    #[error(
        "shared memory: {step} of {len} bytes failed: {source}; free memory, or take fewer or smaller slots"
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
    /// A topic that the server was not started with.
    #[error("topic {0} is none of those that the server was started with: name it there")]
    Unannounced(&'static str),
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

/// The README's program is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
