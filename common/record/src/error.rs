//! Why bytes are no record.

use crate::ABI_MAJOR;

/// Why bytes are not a detection record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Shorter than its own lengths say.
    #[error("record of {got} bytes is cut short: it needs {needed}")]
    Short {
        /// Bytes at hand.
        got: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// Not a record of this kind.
    #[error("not a {what} record (magic {magic:#010x})")]
    Magic {
        /// What was expected.
        what: &'static str,
        /// What was found.
        magic: u32,
    },
    /// Written by an incompatible version.
    #[error(
        "record of ABI version {0}, this program reads version {ABI_MAJOR}: use the same release on both sides"
    )]
    Version(u16),
    /// A length field that cannot be.
    #[error("record with impossible lengths (header {header}, item {item}, count {count})")]
    Lengths {
        /// header_len
        header: u16,
        /// detection_len
        item: u16,
        /// count
        count: u32,
    },
}
