//! Doors for the fuzzer (`tests/fuzz/`) to what is private here and reads other processes' bytes.

pub use crate::ring::fuzz::{header, shifting_memory, whole_reader};

use crate::config::Config;
use crate::control::{Reply, Request};
use std::path::Path;

/// A message, as if it had come from a client and as if it had come from a server.
pub fn control(bytes: &[u8]) {
    let (request, reply) = (Request::parse(bytes), Reply::parse(bytes));
    assert!(request.is_err() || reply.is_err(), "nothing is both");
    assert!(bytes.len() == 64 || (request.is_err() && reply.is_err()));
}

/// A configuration file.
pub fn config(text: &str) {
    // An error is what the user reads: it has to come out in words, on one line.
    if let Err(e) = Config::parse(text, Path::new("hanja.toml")) {
        assert!(!e.to_string().trim().contains('\n'), "{e}");
    }
}
