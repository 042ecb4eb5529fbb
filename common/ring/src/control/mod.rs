//! The control plane: how a reader gets the descriptors of a ring, and how each side learns that the other is gone.
//!
//! Every writing process listens on two SEQPACKET sockets in a directory: `NAME.sock`, whose clients may lease, and
//! `NAME-tap.sock`, which can never grant more than a read-only tap. One request, one reply with descriptors; then
//! the connection stays open and idle. Its hang-up, made by the kernel even after `kill -9`, is the death notice: to
//! the server it ends the reader's leases, to the client it ends the generation.

mod client;
mod message;
mod server;

pub(crate) use client::{Address, Link};
pub use client::{Advice, Presence};
#[cfg(fuzzing)]
pub(crate) use message::{Reply, Request};
pub use server::{Listeners, Server, listener};

use std::path::{Path, PathBuf};

/// Which of a server's two sockets. [`socket_path`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Leases and taps.
    Lease,
    /// Taps only.
    Tap,
}

/// Path of a socket of the server `name`.
///
/// ```
/// use hanja_ring::{Door, socket_path};
/// let path = socket_path("/run/pipeline".as_ref(), "camera", Door::Tap);
/// assert_eq!(path.to_str(), Some("/run/pipeline/camera-tap.sock"));
/// ```
#[must_use]
pub fn socket_path(directory: &Path, name: &str, door: Door) -> PathBuf {
    let suffix = match door {
        Door::Lease => "",
        Door::Tap => "-tap",
    };
    directory.join(format!("{name}{suffix}.sock"))
}
