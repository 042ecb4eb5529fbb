//! The picture's brightness, kept beside the model's input so that parts of the picture can be cropped from it at the
//! picture's own resolution.
//!
//! It is a pyramid of levels, each half the size of the one before. A crop is sampled from the level whose pixels are about
//! as large as its own, so that each of its pixels costs the same, whether the part is 20 or 2,000 pixels wide.

use hanja_record::{Colour, PixelLayout};

/// Longest side of the first level, pixels. A character of a twentieth of that has 64.
const LONGEST: usize = 1280;
/// Number of levels. The sides of the last one are a thirty-second of the first one's.
const LEVELS: usize = 6;
/// The most pixels of a level for each pixel of a crop; with more, the next level is used.
const STEP: f32 = 1.5;

/// Brightness in levels of half the size each. Keeps its buffers from picture to picture.
#[derive(Debug, Default)]
pub(crate) struct Luma {
    levels: [Level; LEVELS],
    /// Pixels of the picture per pixel of the first level.
    factor: usize,
    line: Vec<u8>,
    sums: Vec<u32>,
}

#[derive(Debug, Default)]
struct Level {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Luma {
    /// Fills the levels from a picture, whose layout was checked against its bytes.
    pub(super) fn fill(&mut self, bytes: &[u8], layout: &PixelLayout) {
        let (width, height) = (layout.width, layout.height);
        self.factor = width.max(height).div_ceil(LONGEST).max(1);
        self.line.resize(width, 0);
        let first = &mut self.levels[0];
        first.resize(width / self.factor, height / self.factor);
        if self.factor == 1 {
            for (y, row) in first.rows_mut().enumerate() {
                brightness(layout, bytes, y, row);
            }
        } else {
            let f = self.factor;
            self.sums.resize(first.width, 0);
            for (y, row) in first.rows_mut().enumerate() {
                self.sums.fill(0);
                for k in 0..f {
                    brightness(layout, bytes, y * f + k, &mut self.line);
                    for (sum, group) in self.sums.iter_mut().zip(self.line.chunks_exact(f)) {
                        *sum += group.iter().map(|v| u32::from(*v)).sum::<u32>();
                    }
                }
                for (out, sum) in row.iter_mut().zip(&self.sums) {
                    *out = (sum / (f * f) as u32) as u8;
                }
            }
        }
        for level in 1..LEVELS {
            let (finer, rest) = self.levels.split_at_mut(level);
            rest[0].halve(&finer[level - 1]);
        }
    }

    /// Samples the square with this centre and side, in pixels of the picture, as `side * side` values of 0 to 255.
    /// Beyond the picture its edge goes on.
    pub(crate) fn crop(&self, (cx, cy): (f32, f32), square: f32, side: usize, out: &mut [f32]) {
        let mut scale = 1.0 / self.factor.max(1) as f32;
        let mut level = &self.levels[0];
        for coarser in &self.levels[1..] {
            if square * scale / side as f32 <= STEP || coarser.pixels.is_empty() {
                break;
            }
            (level, scale) = (coarser, scale / 2.0);
        }
        if level.pixels.is_empty() {
            return out.fill(0.0);
        }
        let step = square * scale / side as f32;
        let start = |c: f32| c * scale - step * side as f32 / 2.0 + step / 2.0 - 0.5;
        let (left, top) = (start(cx), start(cy));
        for (y, row) in out.chunks_exact_mut(side).enumerate() {
            let (up, down, v) = between(top + y as f32 * step, level.height);
            let (up, down) = (level.row(up), level.row(down));
            for (x, out) in row.iter_mut().enumerate() {
                let (a, b, u) = between(left + x as f32 * step, level.width);
                let mix = |line: &[u8]| {
                    let (a, b) = (f32::from(line[a]), f32::from(line[b]));
                    a + (b - a) * u
                };
                let (upper, lower) = (mix(up), mix(down));
                *out = upper + (lower - upper) * v;
            }
        }
    }
}

/// Brightness of line `y` of the picture: 0 to 255, or 16 to 235 where the source has that range.
fn brightness(layout: &PixelLayout, bytes: &[u8], y: usize, out: &mut [u8]) {
    let channel = &layout.channels[0];
    let line = layout.planes[channel.plane].row(bytes, y);
    if layout.colour == Colour::Rgb {
        for (out, rgb) in out.iter_mut().zip(line.chunks_exact(3)) {
            // BT.601, in 256ths.
            let [r, g, b] = [0, 1, 2].map(|c| u32::from(rgb[c]));
            *out = ((77 * r + 150 * g + 29 * b) >> 8) as u8;
        }
    } else {
        let samples = line[channel.offset..].iter().step_by(channel.step);
        for (out, sample) in out.iter_mut().zip(samples) {
            *out = *sample;
        }
    }
}

/// The two samples around a position, within `0..count`, and the weight of the second.
fn between(position: f32, count: usize) -> (usize, usize, f32) {
    let position = position.clamp(0.0, (count - 1) as f32);
    let first = position as usize;
    (first, (first + 1).min(count - 1), position - first as f32)
}

impl Level {
    fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(width * height, 0);
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width..][..self.width]
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.pixels.chunks_exact_mut(self.width.max(1))
    }

    /// Means of two by two pixels of `finer`; an odd last line or column is left out.
    fn halve(&mut self, finer: &Self) {
        self.resize(finer.width / 2, finer.height / 2);
        for (y, row) in self.rows_mut().enumerate() {
            let pairs = finer
                .row(2 * y)
                .chunks_exact(2)
                .zip(finer.row(2 * y + 1).chunks_exact(2));
            for (out, (a, b)) in row.iter_mut().zip(pairs) {
                let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                *out = ((sum + 2) / 4) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::{FrameRef, PixelFormat};

    fn luma(format: PixelFormat, width: u32, height: u32, bytes: &[u8]) -> Luma {
        let frame = FrameRef {
            format,
            width,
            height,
            stride: format.min_stride(width),
            bytes,
        };
        let mut luma = Luma::default();
        luma.fill(bytes, &frame.layout().unwrap());
        luma
    }

    /// Brightness x / 10 + y, in a picture of any size.
    fn slope(width: usize, height: usize) -> Vec<u8> {
        let at = |i: usize| (i % width / 10 + i / width / 10) as u8;
        (0..width * height).map(at).collect()
    }

    #[test]
    fn a_crop_has_the_pictures_own_values_at_every_size() {
        for (width, height) in [(640, 480), (1900, 600)] {
            let bytes = slope(width, height);
            let luma = luma(PixelFormat::Grey, width as u32, height as u32, &bytes);
            for square in [20.0, 60.0, 200.0, 400.0f32] {
                let (cx, cy) = (300.0, 250.0);
                let mut out = vec![0.0; 40 * 40];
                luma.crop((cx, cy), square, 40, &mut out);
                for (i, value) in out.iter().enumerate() {
                    let offset = |k: usize| (k as f32 + 0.5) / 40.0 * square - square / 2.0;
                    let want = (cx + offset(i % 40)) / 10.0 + (cy + offset(i / 40)) / 10.0 - 1.0;
                    assert!(
                        (value - want).abs() < 2.6,
                        "{width} {square} {i}: {value} {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn beyond_the_picture_its_edge_goes_on() {
        let luma = luma(PixelFormat::Grey, 64, 64, &vec![77; 64 * 64]);
        let mut out = vec![0.0; 40 * 40];
        luma.crop((0.0, 64.0), 500.0, 40, &mut out);
        assert!(out.iter().all(|v| (*v - 77.0).abs() < 0.01));
    }

    #[test]
    fn colours_become_brightness() {
        let rgb = [255, 0, 0].repeat(32 * 32);
        let mut out = vec![0.0; 16];
        luma(PixelFormat::Rgb3, 32, 32, &rgb).crop((16.0, 16.0), 8.0, 4, &mut out);
        assert!((out[0] - 76.0).abs() < 1.5, "{}", out[0]);
        let yuyv = [90, 10, 90, 250].repeat(32 * 16);
        luma(PixelFormat::Yuyv, 32, 32, &yuyv).crop((16.0, 16.0), 8.0, 4, &mut out);
        assert!(out.iter().all(|v| (*v - 90.0).abs() < 0.01));
    }

    #[test]
    fn tiny_pictures_are_pictures() {
        let mut out = vec![9.0; 16];
        luma(PixelFormat::Grey, 1, 1, &[5]).crop((0.5, 0.5), 300.0, 4, &mut out);
        assert_eq!(out, [5.0; 16]);
        Luma::default().crop((0.0, 0.0), 1.0, 4, &mut out);
        assert_eq!(out, [0.0; 16]);
    }
}
