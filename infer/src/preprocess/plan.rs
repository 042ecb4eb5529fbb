//! Everything about a conversion that depends only on the geometry, worked out once: the letterbox and the resampling
//! weights of each channel.

use super::taps::Taps;
use super::{BARS, Target, simd};
use hanja_cuda::{Axis, ChannelSpec, Conversion, Placement};
use hanja_record::{Colour, PixelLayout};
use std::ops::Range;

/// Where the picture lies in the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Letterbox {
    /// The picture's own width and height.
    pub(crate) source: (u32, u32),
    pub(crate) net_width: usize,
    pub(crate) net_height: usize,
    /// The picture inside the bars.
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Input pixels per source pixel.
    pub(crate) scale_x: f32,
    pub(crate) scale_y: f32,
}

impl Letterbox {
    pub(crate) fn new(width: usize, height: usize, target: Target) -> Self {
        let (box_w, box_h) = match target {
            Target::LongSide { size, .. } => (size as usize, size as usize),
            Target::Fixed { width, height } => (width as usize, height as usize),
        };
        let scale = (box_w as f64 / width as f64).min(box_h as f64 / height as f64);
        let fit = |n: usize, most: usize| ((n as f64 * scale).round() as usize).clamp(1, most);
        let (new_w, new_h) = (fit(width, box_w), fit(height, box_h));
        let (net_width, net_height) = match target {
            Target::LongSide { stride, .. } => (
                new_w.next_multiple_of(stride as usize),
                new_h.next_multiple_of(stride as usize),
            ),
            Target::Fixed { .. } => (box_w, box_h),
        };
        Self {
            source: (width as u32, height as u32),
            net_width,
            net_height,
            left: (net_width - new_w) / 2,
            top: (net_height - new_h) / 2,
            width: new_w,
            height: new_h,
            scale_x: new_w as f32 / width as f32,
            scale_y: new_h as f32 / height as f32,
        }
    }

    pub(crate) fn area(&self) -> usize {
        self.net_width * self.net_height
    }

    /// Makes what is beside the picture grey, in a tensor of three planes.
    pub(super) fn fill_bars(&self, tensor: &mut [f32]) {
        let (left, right) = (self.left, self.left + self.width);
        let (top, bottom) = (self.top, self.top + self.height);
        for plane in tensor.chunks_exact_mut(self.area()) {
            for (y, row) in plane.chunks_exact_mut(self.net_width).enumerate() {
                if (top..bottom).contains(&y) {
                    row[..left].fill(BARS);
                    row[right..].fill(BARS);
                } else {
                    row.fill(BARS);
                }
            }
        }
    }

    /// From input pixels to source pixels.
    pub(crate) fn source_point(&self, x: f32, y: f32) -> (f32, f32) {
        (
            (x - self.left as f32) / self.scale_x,
            (y - self.top as f32) / self.scale_y,
        )
    }
}

/// Buffers of one output row.
#[derive(Debug, Default)]
pub(super) struct Lines {
    blended: [Vec<f32>; 3],
    sampled: [Vec<f32>; 3],
}

/// A conversion from one layout into one letterbox.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) layout: PixelLayout,
    pub(super) letterbox: Letterbox,
    vertical: [Option<Taps>; 3],
    horizontal: [Taps; 3],
}

impl Plan {
    pub(super) fn new(layout: PixelLayout, target: Target) -> Self {
        let letterbox = Letterbox::new(layout.width, layout.height, target);
        let vertical = layout
            .planes
            .map(|p| (p.lines > 0).then(|| Taps::new(p.lines, letterbox.height)));
        let horizontal = layout
            .channels
            .map(|c| Taps::new(c.samples, letterbox.width));
        Self {
            layout,
            letterbox,
            vertical,
            horizontal,
        }
    }

    /// The same for a GPU.
    pub(super) fn conversion(&self) -> Result<Conversion, hanja_cuda::Error> {
        fn axis(taps: &Taps) -> Axis<'_> {
            Axis {
                width: taps.width,
                first: &taps.first,
                weights: &taps.weights,
            }
        }
        let channels = [0, 1, 2].map(|c| {
            let channel = &self.layout.channels[c];
            let plane = &self.layout.planes[channel.plane];
            // Every plane with a channel has lines.
            let down = self.vertical[channel.plane].as_ref();
            ChannelSpec {
                start: plane.start + channel.offset,
                stride: plane.stride,
                step: channel.step,
                lines: plane.lines,
                samples: channel.samples,
                down: axis(down.unwrap_or(&self.horizontal[c])),
                across: axis(&self.horizontal[c]),
            }
        });
        let colour = match self.layout.colour {
            Colour::Rgb => hanja_cuda::Colour::Rgb,
            Colour::Limited => hanja_cuda::Colour::Limited,
            Colour::Full => hanja_cuda::Colour::Full,
            Colour::Grey => hanja_cuda::Colour::Grey,
        };
        let l = &self.letterbox;
        let placement = Placement {
            net_width: l.net_width,
            net_height: l.net_height,
            left: l.left,
            top: l.top,
            width: l.width,
            height: l.height,
        };
        Conversion::new(placement, colour, channels)
    }

    /// Converts `bytes`, which the layout was checked against, into `tensor`, 3 planes of the letterbox's area. The
    /// upper and the lower half are independent; called inside a thread pool, two threads share them.
    pub(super) fn run(&self, bytes: &[u8], lines: &mut [Lines; 2], tensor: &mut [f32]) {
        let l = &self.letterbox;
        let middle = l.height / 2;
        let cut = (l.top + middle) * l.net_width;
        let (red, rest) = tensor.split_at_mut(l.area());
        let (green, blue) = rest.split_at_mut(l.area());
        let ((r1, r2), (g1, g2), (b1, b2)) = (
            red.split_at_mut(cut),
            green.split_at_mut(cut),
            blue.split_at_mut(cut),
        );
        let [upper, lower] = lines;
        rayon::join(
            || self.rows(bytes, 0..middle, l.top, upper, [r1, g1, b1]),
            || self.rows(bytes, middle..l.height, 0, lower, [r2, g2, b2]),
        );
    }

    /// Converts the letterbox's `rows` into planes in which the first of them is line `line`.
    fn rows(
        &self,
        bytes: &[u8],
        rows: Range<usize>,
        line: usize,
        lines: &mut Lines,
        [red, green, blue]: [&mut [f32]; 3],
    ) {
        let (planes, channels) = (&self.layout.planes, &self.layout.channels);
        let distinct = if self.layout.colour == Colour::Grey {
            1
        } else {
            3
        };
        for (line, row) in (line..).zip(rows) {
            for ((plane, taps), out) in planes.iter().zip(&self.vertical).zip(&mut lines.blended) {
                let Some(taps) = taps else { continue };
                out.resize(plane.line, 0.0);
                let (first, weights) = taps.at(row);
                let line = |i: usize| plane.row(bytes, first + i);
                simd::blend(line, weights, out);
            }
            let wanted = channels
                .iter()
                .zip(&self.horizontal)
                .zip(&mut lines.sampled);
            for ((channel, taps), out) in wanted.take(distinct) {
                out.resize(self.letterbox.width, 0.0);
                sample(
                    &lines.blended[channel.plane][channel.offset..],
                    channel.step,
                    taps,
                    out,
                );
            }
            let at = line * self.letterbox.net_width + self.letterbox.left;
            let range = at..at + self.letterbox.width;
            let out = [
                &mut red[range.clone()],
                &mut green[range.clone()],
                &mut blue[range],
            ];
            simd::convert(self.layout.colour, &lines.sampled, out);
        }
    }
}

/// Weighted sums of samples `step` apart.
fn sample(line: &[f32], step: usize, taps: &Taps, out: &mut [f32]) {
    if taps.width == 2 {
        for ((out, first), w) in out
            .iter_mut()
            .zip(&taps.first)
            .zip(taps.weights.chunks_exact(2))
        {
            let at = *first as usize * step;
            *out = line[at] * w[0] + line[at + step] * w[1];
        }
        return;
    }
    for (position, out) in out.iter_mut().enumerate() {
        let (first, weights) = taps.at(position);
        *out = weights
            .iter()
            .enumerate()
            .map(|(i, w)| w * line[(first + i) * step])
            .sum();
    }
}
