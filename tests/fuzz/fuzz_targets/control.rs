//! Requests and replies of the control sockets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hanja_ring::fuzz::control(bytes));
