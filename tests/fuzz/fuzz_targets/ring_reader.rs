//! The whole reader on a real mapping of arbitrary content.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hanja_common::fuzzing::whole_reader(bytes));
