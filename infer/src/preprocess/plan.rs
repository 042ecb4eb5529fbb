//! The parts of a conversion that depend on nothing but the geometry, computed once: the letterbox and the resampling weights
//! of each channel.

use super::letterbox::{Letterbox, Target};
use super::resample::Resampler;
use super::simd;
use hanja_cuda::{Axis, ChannelSpec, Conversion, Placement};
use hanja_record::{Colour, PixelLayout};
use std::ops::Range;

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
    vertical: [Option<Resampler>; 3],
    horizontal: [Resampler; 3],
}

impl Plan {
    pub(super) fn new(layout: PixelLayout, target: Target) -> Self {
        let letterbox = Letterbox::new(layout.width, layout.height, target);
        let vertical = layout
            .planes
            .map(|p| (p.lines > 0).then(|| Resampler::new(p.lines, letterbox.height)));
        let horizontal = layout
            .channels
            .map(|c| Resampler::new(c.samples, letterbox.width));
        Self {
            layout,
            letterbox,
            vertical,
            horizontal,
        }
    }

    /// The same conversion in the form for a GPU.
    pub(super) fn conversion(&self) -> Result<Conversion, hanja_cuda::Error> {
        fn axis(resampler: &Resampler) -> Axis<'_> {
            Axis {
                width: resampler.width,
                first: &resampler.first,
                weights: &resampler.weights,
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

    /// Converts `bytes`, whose layout was checked, into `tensor`, 3 planes of the letterbox's area. The upper and the lower half
    /// are independent, so that inside a thread pool two threads share the work.
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
            for ((plane, resampler), out) in
                planes.iter().zip(&self.vertical).zip(&mut lines.blended)
            {
                let Some(resampler) = resampler else { continue };
                out.resize(plane.line, 0.0);
                let (first, weights) = resampler.at(row);
                let line = |i: usize| plane.row(bytes, first + i);
                simd::blend(line, weights, out);
            }
            let wanted = channels
                .iter()
                .zip(&self.horizontal)
                .zip(&mut lines.sampled);
            for ((channel, resampler), out) in wanted.take(distinct) {
                out.resize(self.letterbox.width, 0.0);
                sample(
                    &lines.blended[channel.plane][channel.offset..],
                    channel.step,
                    resampler,
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
fn sample(line: &[f32], step: usize, resampler: &Resampler, out: &mut [f32]) {
    if resampler.width == 2 {
        for ((out, first), w) in out
            .iter_mut()
            .zip(&resampler.first)
            .zip(resampler.weights.chunks_exact(2))
        {
            let at = *first as usize * step;
            *out = line[at] * w[0] + line[at + step] * w[1];
        }
        return;
    }
    for (position, out) in out.iter_mut().enumerate() {
        let (first, weights) = resampler.at(position);
        *out = weights
            .iter()
            .enumerate()
            .map(|(i, w)| w * line[(first + i) * step])
            .sum();
    }
}
