//! What can go wrong with shared memory.

use super::{ABI_MAJOR, Geometry};
use std::io;

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
