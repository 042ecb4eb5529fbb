//! Sources that are files: pictures in a directory, clips, and clips that arrive on standard input.
//!
//! The demultiplexers (`y4m`, `mjpeg`, `avi`) never read by themselves: they get the bytes that have been read and return
//! what to do next. So one reader serves files and pipes, waits can be cut short, and a test can hand over any bytes in
//! any portions.

mod avi;
mod clip;
mod demux;
mod dir;
mod mjpeg;
mod y4m;

pub(crate) use clip::Clip;
use demux::{Demux, MAX_FRAME, Shape, Step};
pub(crate) use dir::Dir;
#[cfg(fuzzing)]
use hanja_picture::jpeg;

/// Runs a demultiplexer over `bytes`, in portions of `portion`, and copies the frames out.
#[cfg(any(test, fuzzing))]
fn demux(mut d: impl Demux, bytes: &[u8], portion: usize) -> Result<Vec<(Shape, Vec<u8>)>, String> {
    let (mut at, mut shown, mut frames) = (0usize, 0usize, Vec::new());
    for _ in 0..100_000 {
        let eof = shown >= bytes.len();
        match d.step(
            &bytes[at.min(bytes.len())..shown.max(at).min(bytes.len())],
            eof,
        )? {
            Step::Need(_) if eof => return Err("asks for more after the end".into()),
            Step::Need(n) => {
                shown = (shown + portion)
                    .max(at + n.min(portion))
                    .min(bytes.len().max(1))
            }
            Step::Skip(n) | Step::Lost(n) | Step::Empty(n) => {
                at = at
                    .saturating_add(usize::try_from(n).unwrap_or(usize::MAX))
                    .min(bytes.len());
                shown = shown.max(at);
            }
            Step::Frame {
                bytes: range,
                consume,
                picture,
            } => {
                frames.push((picture, bytes[at..][range].to_vec()));
                at += consume;
            }
            Step::End => return Ok(frames),
        }
    }
    Err("does not end".into())
}

/// For the fuzzer: every demultiplexer ends, and never asks for more after the end.
#[cfg(fuzzing)]
pub(crate) fn fuzz(which: u8, bytes: &[u8], portion: usize) {
    let result = match which % 3 {
        0 => demux(y4m::Y4m::default(), bytes, portion),
        1 => demux(mjpeg::Mjpeg::default(), bytes, portion),
        _ => demux(avi::Avi::default(), bytes, portion),
    };
    let endless = |e: &str| e.contains("does not end") || e.contains("after the end");
    assert!(!matches!(&result, Err(e) if endless(e)), "{result:?}");
    if let Some((width, height)) = jpeg::size(bytes) {
        assert!(width > 0 && height > 0);
    }
}

/// A grey JPEG.
#[cfg(test)]
pub(crate) fn sample_jpeg(width: u32, height: u32, level: u8) -> Vec<u8> {
    let picture = image::GrayImage::from_pixel(width, height, image::Luma([level]));
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut out)
        .encode_image(&picture)
        .expect("a small picture encodes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_end_every_demultiplexer(
            which in 0usize..3, bytes in prop::collection::vec(any::<u8>(), 0..400), portion in 1usize..64
        ) {
            let starts: [&[u8]; 3] = [b"YUV4MPEG2 W4 H2 F30:1\nFRAME\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0AVI LIST"];
            let mut all: Vec<u8> = starts[which].to_vec();
            all.extend(bytes);
            let result = match which {
                0 => demux(y4m::Y4m::default(), &all, portion),
                1 => demux(mjpeg::Mjpeg::default(), &all, portion),
                _ => demux(avi::Avi::default(), &all, portion),
            };
            prop_assert!(!matches!(&result, Err(e) if e.contains("does not end") || e.contains("after the end")), "{:?}", result);
        }
    }
}
