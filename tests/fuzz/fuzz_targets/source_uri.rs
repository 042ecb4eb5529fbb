//! Sources as people write them.
#![no_main]

use hanja_capture::SourceUri;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(e) = text.parse::<SourceUri>() {
        assert!(!e.to_string().is_empty());
    }
});
