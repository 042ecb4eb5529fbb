//! Entry point of the fuzzer (`tests/fuzz/`).

/// Runs demultiplexer `which` over `bytes`, handed over in portions.
pub fn clip(which: u8, bytes: &[u8], portion: usize) {
    crate::files::fuzz(which, bytes, portion);
}
