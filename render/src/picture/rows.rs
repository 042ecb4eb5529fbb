//! A raw frame, row by row, as full-range Y'CbCr: what the JPEG encoder asks for, straight from the leased bytes.

use super::{FrameRef, PictureError, check};
use hanja_common::record::PixelFormat;
use jpeg_encoder::{ImageBuffer, JpegColorType, rgb_to_ycbcr};

/// A checked frame. Chroma is repeated to full resolution; the encoder takes every second sample again.
#[derive(Debug)]
pub(super) struct FrameRows<'a> {
    frame: FrameRef<'a>,
}

/// Luma from video range to full range.
static LUMA: [u8; 256] = table(16, 219, 0);
/// Chroma from video range to full range.
static CHROMA: [u8; 256] = table(128, 224, 128);

/// `(n - zero) * 255 / span + base`, rounded and clamped, for every byte `n`.
const fn table(zero: i32, span: i32, base: i32) -> [u8; 256] {
    let mut out = [0; 256];
    let mut n = 0;
    while n < 256 {
        let scaled = (n as i32 - zero) * 255;
        let half = if scaled < 0 { -span / 2 } else { span / 2 };
        let value = (scaled + half) / span + base;
        out[n] = if value < 0 {
            0
        } else if value > 255 {
            255
        } else {
            value as u8
        };
        n += 1;
    }
    out
}

fn luma(n: u8) -> u8 {
    LUMA[usize::from(n)]
}

fn chroma(n: u8) -> u8 {
    CHROMA[usize::from(n)]
}

impl<'a> FrameRows<'a> {
    /// `frame` is any format but MJPG.
    pub(super) fn new(frame: &FrameRef<'a>) -> Result<Self, PictureError> {
        check(frame)?;
        if frame.format == PixelFormat::Mjpg {
            return Err(PictureError::Encode("MJPG has no rows".into()));
        }
        Ok(Self { frame: *frame })
    }

    /// `len` bytes of a line that begins at `at`; empty where the frame is shorter, which `check` has ruled out.
    fn line(&self, at: usize, len: usize) -> &'a [u8] {
        self.frame.bytes.get(at..at + len).unwrap_or_default()
    }

    fn yuyv(&self, line: &[u8], out: &mut [Vec<u8>; 4]) {
        let width = self.frame.width as usize;
        let end = out[0].len() + width;
        out[0].extend(line.chunks_exact(2).map(|p| luma(p[0])));
        for (plane, at) in [(1, 1), (2, 3)] {
            out[plane].extend(line.chunks_exact(4).flat_map(|p| [chroma(p[at]); 2]));
        }
        // An odd width has half a pair too many.
        for plane in &mut out[..3] {
            plane.truncate(end);
        }
    }

    /// The chroma lines of row `y`: U and V samples with their distance.
    fn chroma_lines(&self, y: usize) -> (&'a [u8], &'a [u8], usize) {
        let (stride, height) = (self.frame.stride as usize, self.frame.height as usize);
        let half_width = (self.frame.width as usize).div_ceil(2);
        let start = stride * height;
        if self.frame.format == PixelFormat::Nv12 {
            let at = start + y / 2 * stride.next_multiple_of(2);
            let pairs = self.line(at, half_width * 2);
            (pairs, pairs.get(1..).unwrap_or_default(), 2)
        } else {
            let half_stride = stride.div_ceil(2);
            let at = start + y / 2 * half_stride;
            let v = at + half_stride * height.div_ceil(2);
            (self.line(at, half_width), self.line(v, half_width), 1)
        }
    }

    fn planar(&self, y: usize, line: &[u8], out: &mut [Vec<u8>; 4]) {
        let end = out[0].len() + line.len();
        out[0].extend(line.iter().map(|n| luma(*n)));
        let (u, v, step) = self.chroma_lines(y);
        for (plane, samples) in [(1, u), (2, v)] {
            out[plane].extend(samples.iter().step_by(step).flat_map(|n| [chroma(*n); 2]));
            out[plane].truncate(end);
        }
    }
}

fn rgb(line: &[u8], out: &mut [Vec<u8>; 4]) {
    for p in line.chunks_exact(3) {
        let (y, cb, cr) = rgb_to_ycbcr(p[0], p[1], p[2]);
        out[0].push(y);
        out[1].push(cb);
        out[2].push(cr);
    }
}

impl ImageBuffer for FrameRows<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.frame.format == PixelFormat::Grey {
            JpegColorType::Luma
        } else {
            JpegColorType::Ycbcr
        }
    }

    fn width(&self) -> u16 {
        self.frame.width as u16 // at most MAX_SIDE
    }

    fn height(&self) -> u16 {
        self.frame.height as u16
    }

    fn fill_buffers(&self, y: u16, out: &mut [Vec<u8>; 4]) {
        let y = usize::from(y);
        let width = self.frame.width as usize;
        let at = y * self.frame.stride as usize;
        match self.frame.format {
            PixelFormat::Yuyv => self.yuyv(self.line(at, width.next_multiple_of(2) * 2), out),
            PixelFormat::Nv12 | PixelFormat::I420 => self.planar(y, self.line(at, width), out),
            PixelFormat::Rgb3 => rgb(self.line(at, width * 3), out),
            PixelFormat::Grey => out[0].extend_from_slice(self.line(at, width)),
            PixelFormat::Mjpg => {} // refused by `new`
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_range_becomes_full_range() {
        assert_eq!((luma(16), luma(235), luma(0), luma(255)), (0, 255, 0, 255));
        assert_eq!((chroma(16), chroma(128), chroma(240)), (1, 128, 255));
        assert_eq!(luma(126), 128);
    }

    #[test]
    fn rows_of_an_odd_yuyv_frame() {
        // 3x1: two pairs, the last half of which is padding; stride 10.
        let bytes = [16, 128, 235, 240, 126, 16, 99, 128, 0, 0];
        let frame = FrameRef {
            format: PixelFormat::Yuyv,
            width: 3,
            height: 1,
            stride: 10,
            bytes: &bytes,
        };
        let mut out = [const { Vec::new() }; 4];
        FrameRows::new(&frame).unwrap().fill_buffers(0, &mut out);
        assert_eq!(out[0], [0, 255, 128]);
        assert_eq!(out[1], [128, 128, 1]);
        assert_eq!(out[2], [255, 255, 128]);
    }

    #[test]
    fn chroma_of_odd_planar_frames() {
        // 3x3, stride 3: 9 luma, then 2x2 chroma. NV12 rounds its chroma stride up to 4, I420 has half of it: 2.
        let nv12: Vec<u8> = [126; 9]
            .into_iter()
            .chain([16, 240, 128, 128, 240, 16, 128, 128])
            .collect();
        let i420: Vec<u8> = [126; 9]
            .into_iter()
            .chain([16, 128, 240, 128, 240, 128, 16, 128])
            .collect();
        for (format, bytes) in [(PixelFormat::Nv12, nv12), (PixelFormat::I420, i420)] {
            let frame = FrameRef {
                format,
                width: 3,
                height: 3,
                stride: 3,
                bytes: &bytes,
            };
            let mut out = [const { Vec::new() }; 4];
            let rows = FrameRows::new(&frame).unwrap();
            rows.fill_buffers(1, &mut out);
            rows.fill_buffers(2, &mut out);
            assert_eq!(out[0], [128; 6], "{format}");
            assert_eq!(out[1], [1, 1, 128, 255, 255, 128], "{format}");
            assert_eq!(out[2], [255, 255, 128, 1, 1, 128], "{format}");
        }
    }
}
