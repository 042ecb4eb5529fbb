//! Y4M, MJPEG and AVI clips, shown in portions. First byte: which kind; second: how large the portions are.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let [which, portion, clip @ ..] = bytes {
        hanja_capture::fuzzing::clip(*which, clip, 1 + 7 * usize::from(*portion));
    }
});
