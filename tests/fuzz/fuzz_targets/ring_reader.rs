//! The whole reader on a real mapping of arbitrary content.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hanja_ring::fuzz::whole_reader(bytes));
