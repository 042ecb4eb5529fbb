//! Configuration files.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| hanja_stage::fuzzing::config(text));
