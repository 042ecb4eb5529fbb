//! Reading one line of a frame as full-range Y, Cb, Cr, or the whole frame as RGB.

use super::{FrameRef, PictureError};
use hanja_record::{MAX_PIXELS, MAX_SIDE, PixelFormat, PixelLayout};
use image::{ImageFormat, ImageReader, RgbImage};
use std::io::Cursor;

/// Limited to full range for Y and for Cb, Cr: 16.16 fixed point, a form that vectorises where a table would not.
fn stretch_luma(y: u8) -> u8 {
    // 255 / 219
    (((i32::from(y) - 16) * 76_309 + 32_768) >> 16).clamp(0, 255) as u8
}

fn stretch_chroma(c: u8) -> u8 {
    // 255 / 224
    ((((i32::from(c) - 128) * 74_606 + 32_768) >> 16) + 128).clamp(0, 255) as u8
}

/// Full to limited range, the reverse.
pub(super) fn squeeze_luma(y: u8) -> u8 {
    // 219 / 255
    (((u32::from(y) * 56_284 + 32_768) >> 16) + 16) as u8
}

pub(super) fn squeeze_chroma(c: u8) -> u8 {
    // 224 / 255
    ((((i32::from(c) - 128) * 57_569 + 32_768) >> 16) + 128).clamp(0, 255) as u8
}

/// An uncompressed frame by its lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    frame: FrameRef<'a>,
    layout: PixelLayout,
}

impl<'a> Lines<'a> {
    /// Checks the frame; MJPG has no lines and is not for this.
    pub(super) fn of(frame: &FrameRef<'a>) -> Result<Self, PictureError> {
        Ok(Self {
            frame: *frame,
            layout: frame.layout()?,
        })
    }

    /// Line `row` of the first plane.
    pub(super) fn line(&self, row: usize) -> &'a [u8] {
        self.layout.planes[0].row(self.frame.bytes, row)
    }

    /// The line of chroma plane `plane` (0 or 1; NV12 has only 0) for line `row` of the picture.
    pub(super) fn chroma_line(&self, row: usize, plane: usize) -> &'a [u8] {
        self.layout.planes[1 + plane].row(self.frame.bytes, row / 2)
    }

    /// Appends line `row` as full-range Y, Cb and Cr, one value each per pixel.
    pub(super) fn ycbcr(&self, row: usize, [y, cb, cr, _]: &mut [Vec<u8>; 4]) {
        let w = self.layout.width;
        match self.frame.format {
            PixelFormat::Yuyv => {
                let line = self.line(row);
                y.extend(
                    line.as_chunks::<2>()
                        .0
                        .iter()
                        .take(w)
                        .map(|p| stretch_luma(p[0])),
                );
                double(cb, line.as_chunks::<4>().0.iter().map(|p| p[1]), w);
                double(cr, line.as_chunks::<4>().0.iter().map(|p| p[3]), w);
            }
            PixelFormat::Nv12 => {
                y.extend(self.line(row).iter().map(|v| stretch_luma(*v)));
                let line = self.chroma_line(row, 0);
                double(cb, line.as_chunks::<2>().0.iter().map(|p| p[0]), w);
                double(cr, line.as_chunks::<2>().0.iter().map(|p| p[1]), w);
            }
            PixelFormat::I420 => {
                y.extend(self.line(row).iter().map(|v| stretch_luma(*v)));
                double(cb, self.chroma_line(row, 0).iter().copied(), w);
                double(cr, self.chroma_line(row, 1).iter().copied(), w);
            }
            PixelFormat::Grey => y.extend_from_slice(self.line(row)),
            PixelFormat::Rgb3 => {
                for p in self.line(row).as_chunks::<3>().0 {
                    let (luma, blue, red) = jpeg_encoder::rgb_to_ycbcr(p[0], p[1], p[2]);
                    y.push(luma);
                    cb.push(blue);
                    cr.push(red);
                }
            }
            PixelFormat::Mjpg => {}
        }
    }
}

/// Appends each chroma value, stretched, for two pixels, `width` in all.
fn double(out: &mut Vec<u8>, values: impl Iterator<Item = u8>, width: usize) {
    let start = out.len();
    out.resize(start + width.next_multiple_of(2), 128);
    for (pair, value) in out[start..].as_chunks_mut::<2>().0.iter_mut().zip(values) {
        *pair = [stretch_chroma(value); 2];
    }
    out.truncate(start + width);
}

/// The frame as RGB; the size may differ from the metadata's only for MJPG, where the JPEG's own size counts.
pub(super) fn to_rgb(frame: &FrameRef<'_>) -> Result<RgbImage, PictureError> {
    if frame.format == PixelFormat::Mjpg {
        frame.check_size()?;
        return decode(frame.bytes);
    }
    let lines = Lines::of(frame)?;
    let mut rgb = RgbImage::new(frame.width, frame.height);
    let mut line: [Vec<u8>; 4] = Default::default();
    for (row, mut pixels) in rgb.rows_mut().enumerate() {
        if frame.format == PixelFormat::Rgb3 {
            let source = lines.line(row).as_chunks::<3>().0;
            pixels
                .by_ref()
                .zip(source)
                .for_each(|(to, from)| to.0 = *from);
            continue;
        }
        line.iter_mut().for_each(Vec::clear);
        lines.ycbcr(row, &mut line);
        // GREY leaves these two empty.
        line[1].resize(lines.layout.width, 128);
        line[2].resize(lines.layout.width, 128);
        for ((to, y), (cb, cr)) in pixels.zip(&line[0]).zip(line[1].iter().zip(&line[2])) {
            to.0 = full_rgb(*y, *cb, *cr);
        }
    }
    Ok(rgb)
}

/// JPEG's own colour equations, 16.16 fixed point.
fn full_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let part = |v: i32| (y + ((v + 32_768) >> 16)).clamp(0, 255) as u8;
    [
        part(91_881 * cr),
        part(-22_554 * cb - 46_802 * cr),
        part(116_130 * cb),
    ]
}

fn decode(bytes: &[u8]) -> Result<RgbImage, PictureError> {
    let fail = |source| PictureError::Decode {
        got: bytes.len(),
        source,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg);
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(3 * MAX_PIXELS);
    reader.limits(limits);
    Ok(reader.decode().map_err(fail)?.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_ends_meet() {
        assert_eq!([stretch_luma(16), stretch_luma(235)], [0, 255]);
        assert_eq!([stretch_luma(0), stretch_luma(255)], [0, 255]);
        assert_eq!(
            [stretch_chroma(16), stretch_chroma(128), stretch_chroma(240)],
            [0, 128, 255]
        );
        assert_eq!([squeeze_luma(0), squeeze_luma(255)], [16, 235]);
        assert_eq!(
            [squeeze_chroma(0), squeeze_chroma(128), squeeze_chroma(255)],
            [16, 128, 240]
        );
    }

    #[test]
    fn squeezing_undoes_stretching() {
        for v in 16..=235 {
            assert_eq!(squeeze_luma(stretch_luma(v)), v);
        }
        for v in 16..=240 {
            assert_eq!(squeeze_chroma(stretch_chroma(v)), v);
        }
    }
}
