//! Where a picture lies in the model's input: scaled as a whole, with grey bars beside it.

use crate::model::Facts;

/// Grey of the bars beside the picture, as in training.
pub(crate) const BARS: f32 = 114.0 / 255.0;

/// Target of the letterbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Long side in pixels; both sides become multiples of the stride.
    LongSide { size: u32, stride: u32 },
    /// Exactly this.
    Fixed { width: u32, height: u32 },
}

impl Target {
    /// What a model's file fixes, else a long side of about `size` pixels.
    pub(crate) fn of(facts: &Facts, size: u32) -> Self {
        match facts.fixed {
            Some((height, width)) => Self::Fixed {
                width: width as u32,
                height: height as u32,
            },
            None => {
                let stride = facts.stride as u32;
                Self::LongSide {
                    size: size.next_multiple_of(stride),
                    stride,
                }
            }
        }
    }
}

/// Where the picture lies in the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Letterbox {
    /// The picture's own width and height.
    pub(crate) source: (u32, u32),
    pub(crate) net_width: usize,
    pub(crate) net_height: usize,
    /// The picture's place inside the bars.
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

    /// Pixels of the model's input.
    pub(crate) fn area(&self) -> usize {
        self.net_width * self.net_height
    }

    /// Fills the bars in a tensor of three planes with grey.
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
