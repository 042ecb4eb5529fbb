//! Frames with arbitrary metadata, through everything that looks at their bytes.
#![no_main]

use hanja_record::{FrameMeta, FrameRef, PixelFormat};
use hanja_render::picture::{to_i420, to_jpeg};
use zerocopy::FromBytes;

/// Beyond this a run would measure the allocator, not the code.
const MOST_PIXELS: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok((meta, payload)) = FrameMeta::read_from_prefix(bytes) else {
        return;
    };
    let Some(format) = meta.format() else { return };
    let frame = FrameRef {
        format,
        width: meta.width,
        height: meta.height,
        stride: meta.stride,
        bytes: payload,
    };
    hanja_infer::fuzzing::preprocess(&frame);
    let pixels = u64::from(meta.width) * u64::from(meta.height);
    if let Ok(planes) = to_i420(&frame) {
        let (w, h) = (meta.width as usize, meta.height as usize);
        assert_eq!(planes.len(), w * h + 2 * w.div_ceil(2) * h.div_ceil(2));
    }
    // A camera's own JPEG is passed on unopened.
    if format != PixelFormat::Mjpg
        && pixels <= MOST_PIXELS
        && let Ok(jpeg) = to_jpeg(&frame, 80)
    {
        assert!(jpeg.starts_with(&[0xff, 0xd8]));
    }
});
