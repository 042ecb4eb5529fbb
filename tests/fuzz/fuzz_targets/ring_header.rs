//! The header of a ring that another process made, and the size of its mapping.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((mapped, header)) = bytes.split_first_chunk() {
        hanja_ring::fuzz::header(header, u64::from_le_bytes(*mapped));
    }
});
