//! Interface for the fuzzer (`tests/fuzz/`).

use crate::preprocess::{Preprocessor, Target};
use hanja_record::FrameRef;

/// Fills a small input tensor from a frame about which nothing is known.
pub fn preprocess(frame: &FrameRef<'_>) {
    let target = Target::LongSide {
        size: 64,
        stride: 32,
    };
    let mut preprocessor = Preprocessor::new(target);
    // Twice, because the second run reuses buffers and plan of the first.
    for _ in 0..2 {
        if preprocessor.run(frame).is_ok() {
            let tensor = preprocessor.tensor();
            assert!(tensor.len() <= 3 * 64 * 64);
            // Weights sum to 1 up to rounding.
            let mad = tensor.iter().find(|v| !(-1e-5..=1.00001).contains(*v));
            assert_eq!(mad, None, "a colour that is none");
        }
    }
}
