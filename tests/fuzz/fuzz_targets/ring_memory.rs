//! The reading half of the protocol over memory that changes between any two accesses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hanja_ring::fuzz::shifting_memory(bytes));
