//! A writer for tests of readers: each frame repeats one 8-byte word, the frame's number times an odd constant. A copy that
//! holds two different words, or another frame's word, is torn.
//!
//!     stamped RUNTIME_DIR [FRAMES_PER_SECOND]        # without a rate: as fast as it can; runs until SIGTERM

use hanja_record::{FrameMeta, PixelFormat, StageName, Topic};
use hanja_ring::{Geometry, now_ns};
use hanja_stage::Stage;
use std::time::Duration;
use zerocopy::IntoBytes;

/// Large: a reader spends most of its time in copies, so that many of them are overtaken.
const SIZE: (u32, u32) = (1920, 1080);
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: stamped RUNTIME_DIR [FPS]")?;
    let fps: Option<f64> = arguments.next().map(|text| text.parse()).transpose()?;
    let stage = Stage::start(StageName::Capture, dir.as_ref())?;
    let (width, height) = SIZE;
    let bytes = PixelFormat::Yuyv.frame_bytes(2 * width, width, height);
    let geometry = Geometry {
        slots: 2, // the fewest: whoever copies one frame is overtaken by the next but one
        meta_len: size_of::<FrameMeta>() as u32,
        payload_capacity: bytes,
    };
    let mut frames = stage.publisher(Topic::Frames, geometry)?;
    let mut picture = vec![0_u64; bytes as usize / 8];
    while !stage.stopping() {
        picture.fill(frames.next().seq.wrapping_mul(ODD).to_le());
        frames.publish(&[picture.as_bytes()], |stamp| FrameMeta {
            generation: stamp.generation,
            seq: stamp.seq,
            driver_seq: stamp.seq - 1,
            fourcc: PixelFormat::Yuyv.fourcc(),
            width,
            height,
            stride: 2 * width,
            bytes_used: bytes,
            t_sensor: now_ns(),
            ..FrameMeta::zeroed()
        })?;
        if let Some(fps) = fps {
            std::thread::sleep(Duration::from_secs_f64(1.0 / fps));
        }
    }
    Ok(())
}
