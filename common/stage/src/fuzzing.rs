//! Door for the fuzzer (`tests/fuzz/`).

use crate::config::Config;
use std::path::Path;

/// A configuration file.
pub fn config(text: &str) {
    // An error is what the user reads: it has to come out in words, on one line.
    if let Err(e) = Config::parse(text, Path::new("hanja.toml")) {
        assert!(!e.to_string().trim().contains('\n'), "{e}");
    }
}
