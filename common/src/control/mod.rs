//! The control plane: how a reader gets the descriptors of a ring, and how each side learns that the other is gone.
//!
//! Every stage listens on two SEQPACKET sockets in the runtime directory: `STAGE.sock`, whose clients may lease, and
//! `STAGE-tap.sock`, which can never grant more than a read-only tap. One request, one reply with descriptors; then
//! the connection stays open and idle. Its hang-up, made by the kernel even after `kill -9`, is the death notice: to
//! the server it ends the reader's leases, to the client it ends the generation.

mod activation;
mod client;
mod message;
mod server;

pub(crate) use activation::Handed;
pub(crate) use client::Link;
pub use client::Presence;
#[cfg(fuzzing)]
pub(crate) use message::{Reply, Request};
pub(crate) use server::{ControlServer, live_listener};

use std::path::{Path, PathBuf};

/// Which socket of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Leases and taps.
    Lease,
    /// Taps only.
    Tap,
}

/// Path of a stage's socket.
pub(crate) fn socket_path(runtime_dir: &Path, stage: &str, door: Door) -> PathBuf {
    let suffix = match door {
        Door::Lease => "",
        Door::Tap => "-tap",
    };
    runtime_dir.join(format!("{stage}{suffix}.sock"))
}
