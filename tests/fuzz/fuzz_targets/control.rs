//! Requests and replies of the control sockets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hanja_common::fuzzing::control(bytes));
