//! Frame to planar 4:2:0, limited range: what a Y4M stream holds.

use super::pixels::{Lines, squeeze_chroma, squeeze_luma, to_rgb};
use super::{FrameRef, PictureError};
use hanja_record::PixelFormat;

/// Tightly packed Y, U and V planes, BT.601 limited range: `w*h + 2 * ceil(w/2) * ceil(h/2)` bytes.
///
/// # Errors
/// Numbers that do not fit the bytes, a damaged JPEG, or a JPEG whose size is not the frame's.
pub fn to_i420(frame: &FrameRef<'_>) -> Result<Vec<u8>, PictureError> {
    match frame.format {
        PixelFormat::I420 | PixelFormat::Nv12 => repack(frame),
        PixelFormat::Mjpg | PixelFormat::Rgb3 => {
            let rgb = to_rgb(frame)?;
            let (width, height) = rgb.dimensions();
            if (width, height) != (frame.width, frame.height) {
                return Err(PictureError::Mismatch {
                    got: (width, height),
                    frame: (frame.width, frame.height),
                });
            }
            let packed = FrameRef {
                format: PixelFormat::Rgb3,
                stride: width * 3,
                bytes: rgb.as_raw(),
                ..*frame
            };
            convert(&packed)
        }
        PixelFormat::Yuyv | PixelFormat::Grey => convert(frame),
    }
}

/// The same values in another order.
fn repack(frame: &FrameRef<'_>) -> Result<Vec<u8>, PictureError> {
    let lines = Lines::of(frame)?;
    let (w, h) = (frame.width as usize, frame.height as usize);
    let half = w.div_ceil(2);
    let mut out = Vec::with_capacity(w * h + 2 * half * h.div_ceil(2));
    (0..h).for_each(|row| out.extend_from_slice(lines.line(row)));
    for plane in 0..2 {
        for row in (0..h).step_by(2) {
            if frame.format == PixelFormat::Nv12 {
                let line = lines.chroma_line(row, 0).as_chunks::<2>().0;
                out.extend(line.iter().map(|pair| pair[plane]));
            } else {
                out.extend_from_slice(lines.chroma_line(row, plane));
            }
        }
    }
    Ok(out)
}

/// Through full-range lines: chroma averaged over 2x2 pixels, edges repeated.
fn convert(frame: &FrameRef<'_>) -> Result<Vec<u8>, PictureError> {
    let lines = Lines::of(frame)?;
    let (w, h) = (frame.width as usize, frame.height as usize);
    let half = w.div_ceil(2);
    let chroma = half * h.div_ceil(2);
    let mut out = Vec::with_capacity(w * h + 2 * chroma);
    let (mut us, mut vs) = (Vec::with_capacity(chroma), Vec::with_capacity(chroma));
    let mut pair: [[Vec<u8>; 4]; 2] = Default::default();
    for row in (0..h).step_by(2) {
        for (n, line) in pair.iter_mut().enumerate() {
            line.iter_mut().for_each(Vec::clear);
            lines.ycbcr((row + n).min(h - 1), line);
            line[1].resize(w, 128);
            line[2].resize(w, 128);
            if row + n < h {
                out.extend(line[0].iter().map(|y| squeeze_luma(*y)));
            }
        }
        let [above, below] = &pair;
        average(&above[1], &below[1], &mut us);
        average(&above[2], &below[2], &mut vs);
    }
    out.append(&mut us);
    out.append(&mut vs);
    Ok(out)
}

fn average(above: &[u8], below: &[u8], out: &mut Vec<u8>) {
    for (a, b) in above.chunks(2).zip(below.chunks(2)) {
        let values = || a.iter().chain(b).map(|v| u32::from(*v));
        let count = values().count() as u32;
        out.push(squeeze_chroma(
            ((values().sum::<u32>() + count / 2) / count) as u8,
        ));
    }
}
