//! Where the time of one picture goes, per source format, on one thread:
//! `cargo run --release -p hanja-infer --example preprocess`.
//!
//! Prints medians in milliseconds. Preprocessing is the part that this crate answers for; the model's own time is
//! printed beside it for scale.

use hanja_common::config::InferConfig;
use hanja_common::record::{FrameRef, PixelFormat};
use hanja_infer::Detector;

const ROUNDS: usize = 300;

fn median(mut times: Vec<u64>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2] as f64 / 1e6
}

/// A frame of smooth gradients: like a picture, and a JPEG of a usual size.
fn frame(format: PixelFormat, width: u32, height: u32) -> Result<Vec<u8>, image::ImageError> {
    if format == PixelFormat::Mjpg {
        let mut bytes = Vec::new();
        let noise = |x: u32, y: u32| {
            (x.wrapping_mul(2_654_435_761).wrapping_add(y * 40_503) >> 11 & 15) as u8
        };
        let pixel = |x: u32, y: u32| {
            image::Rgb([
                (x / 4) as u8 + noise(x, y),
                (y / 3) as u8 + noise(y, x),
                150,
            ])
        };
        let picture = image::RgbImage::from_fn(width, height, pixel);
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85);
        picture.write_with_encoder(encoder)?;
        return Ok(bytes);
    }
    let len = format.frame_bytes(format.min_stride(width), width, height);
    Ok((0..len).map(|i| (i / 7) as u8).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = InferConfig {
        threads: Some(1),
        ..InferConfig::default()
    };
    let mut detector = Detector::load(&config)?;
    println!("{}", detector.model_info());
    for (width, height) in [(640, 480), (1280, 720), (1920, 1080)] {
        for &format in PixelFormat::all() {
            let bytes = frame(format, width, height)?;
            let stride = format.min_stride(width);
            let view = FrameRef {
                format,
                width,
                height,
                stride,
                bytes: &bytes,
            };
            let (mut prepare, mut infer) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let steps = detector.detect(&view)?.steps;
                prepare.push(steps.preprocess);
                infer.push(steps.inference);
            }
            println!(
                "{width}x{height} {format}: preprocess {:.3} ms (best {:.3}), model {:.2} ms",
                median(prepare.clone()),
                *prepare.iter().min().unwrap_or(&0) as f64 / 1e6,
                median(infer)
            );
        }
    }
    Ok(())
}
