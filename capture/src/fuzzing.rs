//! Door for the fuzzer (`tests/fuzz/`).

/// Takes `bytes` for a clip of kind `which`, shown in portions.
pub fn clip(which: u8, bytes: &[u8], portion: usize) {
    crate::files::fuzz(which, bytes, portion);
}
