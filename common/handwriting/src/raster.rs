//! Ink: turns strokes in pixel coordinates into a coverage mask.
//!
//! A stroke is drawn as capsules (a disc swept between neighbouring nodes) whose distance to the
//! pixel centre gives antialiased coverage; overlapping ink takes the maximum, as real ink does
//! not add up. This needs no polygon clipping and makes every width along the stroke possible.

use crate::noise::{hash01, value_noise};
use crate::stroke::{Node, Stroke, bounds};
use rand::{Rng, RngExt};

/// A writing instrument. Widths are in pixels of the mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pen {
    /// Diameter of the line at pressure 1, in pixels; at least 0.3 is used.
    pub width: f32,
    /// 0.0 is a ball pen with blunt ends; 1.0 thins to almost nothing over the last fifth.
    pub taper: f32,
    /// How strongly pressure changes the width: 0.0 not at all, 1.0 in proportion.
    pub contrast: f32,
    /// 0.0 is solid ink; 1.0 is a dry pencil whose grain lets the paper through.
    pub roughness: f32,
    /// Share of the line, 0.0..=0.6, where the ink fails.
    pub breaks: f32,
}

impl Pen {
    /// A plain pen of `width` pixels: solid ink, slightly tapered.
    #[must_use]
    pub const fn new(width: f32) -> Self {
        Self {
            width,
            taper: 0.2,
            contrast: 0.6,
            roughness: 0.0,
            breaks: 0.0,
        }
    }
}

/// Ink coverage of a small picture, row by row, 0 = paper, 255 = full ink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

/// A box in pixels: pixel column `i` spans `i..i + 1`, so one full pixel is 1 wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge, beyond the last inked column.
    pub right: f32,
    /// Bottom edge, beyond the last inked row.
    pub bottom: f32,
}

impl Mask {
    /// An empty mask of the given size in pixels.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0; width * height],
        }
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The coverage values, `width * height`, row by row.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The coverage values, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The smallest box of whole pixels around everything covered at least `threshold`
    /// (1..=255), or `None` when nothing is.
    #[must_use]
    pub fn ink_bounds(&self, threshold: u8) -> Option<Bounds> {
        let threshold = threshold.max(1);
        let inked = |v: &u8| *v >= threshold;
        let (mut left, mut right) = (usize::MAX, 0);
        let (mut top, mut bottom) = (None, 0);
        for (y, row) in self.data.chunks_exact(self.width.max(1)).enumerate() {
            let Some(first) = row.iter().position(inked) else {
                continue;
            };
            let last = row.iter().rposition(inked).unwrap_or(first);
            left = left.min(first);
            right = right.max(last + 1);
            top = top.or(Some(y));
            bottom = y + 1;
        }
        top.map(|top| Bounds {
            left: left as f32,
            top: top as f32,
            right: right as f32,
            bottom: bottom as f32,
        })
    }
}

/// Inks `strokes` (in pixel coordinates) with `pen` into a new mask of `width` x `height` pixels.
/// What lies outside the mask is cut off. `rng` decides where rough or failing ink is.
#[must_use]
pub fn rasterize(
    strokes: &[Stroke],
    pen: &Pen,
    width: usize,
    height: usize,
    rng: &mut impl Rng,
) -> Mask {
    let mut mask = Mask::new(width, height);
    let seed: u32 = rng.random();
    // The length over which an end thins: a fifth of the drawing, so that a short dot thins less.
    let span = bounds(strokes).map_or(1.0, |(l, t, r, b)| (r - l).max(b - t));
    for (index, stroke) in strokes.iter().enumerate() {
        let salt = seed.wrapping_add(index as u32 * 7919);
        draw_stroke(&mut mask, stroke, pen, span * 0.2, salt);
    }
    if pen.roughness > 0.0 {
        roughen(&mut mask, pen.roughness, seed);
    }
    mask
}

fn draw_stroke(mask: &mut Mask, stroke: &Stroke, pen: &Pen, thinning: f32, salt: u32) {
    let lengths = arc_lengths(&stroke.nodes);
    let total = lengths.last().copied().unwrap_or(0.0);
    let radius = |i: usize| {
        let pressure = 1.0 + (stroke.nodes[i].pressure - 1.0) * pen.contrast;
        let to_end = lengths[i].min(total - lengths[i]);
        let thin = (to_end / thinning.min(total * 0.5).max(1e-3)).min(1.0);
        let taper = 1.0 - pen.taper * 0.75 * (1.0 - thin);
        (pen.width.max(0.3) * 0.5 * pressure * taper).max(0.1)
    };
    let ink = |i: usize| {
        if pen.breaks <= 0.0 {
            return 1.0;
        }
        let noise = value_noise(lengths[i] / (pen.width.max(1.0) * 2.5), 0.5, salt);
        ((noise - pen.breaks.min(0.6)) * 6.0 + 0.5).clamp(0.0, 1.0)
    };
    match stroke.nodes.as_slice() {
        [] => {}
        [dot] => capsule(mask, (*dot, *dot), (radius(0), radius(0)), 1.0),
        nodes => {
            for i in 1..nodes.len() {
                let strength = ink(i - 1).min(ink(i));
                if strength > 0.02 {
                    let ends = (nodes[i - 1], nodes[i]);
                    capsule(mask, ends, (radius(i - 1), radius(i)), strength);
                }
            }
        }
    }
}

fn arc_lengths(nodes: &[Node]) -> Vec<f32> {
    let steps = nodes
        .windows(2)
        .map(|w| (w[1].x - w[0].x).hypot(w[1].y - w[0].y));
    let mut lengths = vec![0.0];
    let mut total = 0.0;
    lengths.extend(steps.map(|step| {
        total += step;
        total
    }));
    lengths
}

/// Draws the disc swept from `a` to `b`, its radius going from `ra` to `rb`.
fn capsule(mask: &mut Mask, (a, b): (Node, Node), (ra, rb): (f32, f32), strength: f32) {
    let reach = ra.max(rb) + 1.0;
    let clip = |low: f32, high: f32, limit: usize| {
        let start = (low - reach).floor().clamp(0.0, limit as f32) as usize;
        let end = (high + reach).ceil().clamp(0.0, limit as f32) as usize;
        start..end
    };
    let columns = clip(a.x.min(b.x), a.x.max(b.x), mask.width);
    let rows = clip(a.y.min(b.y), a.y.max(b.y), mask.height);
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let inverse = 1.0 / (dx * dx + dy * dy).max(1e-9);
    for y in rows {
        let row = &mut mask.data[y * mask.width..][..mask.width];
        let py = y as f32 + 0.5 - a.y;
        for x in columns.clone() {
            let px = x as f32 + 0.5 - a.x;
            let t = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
            let (ex, ey) = (px - t * dx, py - t * dy);
            let radius = ra + (rb - ra) * t;
            let cover = radius + 0.5 - (ex * ex + ey * ey).sqrt();
            if cover > 0.0 {
                // A line thinner than a pixel cannot cover it: it gets fainter instead.
                let level = cover.min(1.0) * (2.0 * radius).min(1.0).sqrt() * strength;
                let value = (level * 255.0 + 0.5) as u8;
                row[x] = row[x].max(value);
            }
        }
    }
}

/// Lets the grain of the paper through, as with pencil, chalk and drying markers.
fn roughen(mask: &mut Mask, roughness: f32, seed: u32) {
    let width = mask.width.max(1);
    for (i, value) in mask.data.iter_mut().enumerate().filter(|(_, v)| **v > 0) {
        let (x, y) = ((i % width) as i32, (i / width) as i32);
        let coarse = value_noise(x as f32 * 0.45, y as f32 * 0.45, seed);
        let grain = 0.5 * hash01(x, y, seed) + 0.5 * coarse;
        let keep = 1.0 - roughness * grain * 0.85;
        *value = (f32::from(*value) * keep) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smooth_polyline;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    fn bar(pen: &Pen) -> Mask {
        let line = [smooth_polyline(&[(10.0, 20.0), (50.0, 20.0)], 8)];
        rasterize(&line, pen, 64, 40, &mut Pcg64Mcg::seed_from_u64(1))
    }

    const BALL: Pen = Pen {
        width: 4.0,
        taper: 0.0,
        contrast: 0.0,
        roughness: 0.0,
        breaks: 0.0,
    };

    #[test]
    fn a_line_has_its_width_and_round_ends() {
        let bounds = bar(&BALL).ink_bounds(128).unwrap();
        assert_eq!(
            bounds,
            Bounds {
                left: 8.0,
                top: 18.0,
                right: 52.0,
                bottom: 22.0
            }
        );
    }

    #[test]
    fn taper_thins_the_ends_only() {
        let mask = bar(&Pen { taper: 1.0, ..BALL });
        let inked = |x: usize| (0..40).filter(|y| mask.data()[y * 64 + x] > 127).count();
        assert!(inked(11) < inked(30), "{} {}", inked(11), inked(30));
        assert_eq!(inked(30), 4);
    }

    #[test]
    fn breaks_and_roughness_only_take_ink_away() {
        let solid = bar(&BALL);
        for pen in [
            Pen {
                breaks: 0.5,
                ..BALL
            },
            Pen {
                roughness: 1.0,
                ..BALL
            },
        ] {
            let worn = bar(&pen);
            assert!(worn.data().iter().zip(solid.data()).all(|(w, s)| w <= s));
            let sum = |m: &Mask| m.data().iter().map(|v| u64::from(*v)).sum::<u64>();
            assert!(sum(&worn) < sum(&solid) * 95 / 100);
        }
    }

    #[test]
    fn ink_outside_the_mask_is_cut_and_nonsense_is_harmless() {
        let far = [smooth_polyline(&[(-1e6, -5.0), (1e6, 1e7)], 3)];
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        assert_eq!(rasterize(&far, &BALL, 16, 16, &mut rng).ink_bounds(1), None);
        let bad = [smooth_polyline(&[(f32::NAN, 1.0), (3.0, f32::INFINITY)], 3)];
        let _ = rasterize(&bad, &BALL, 16, 16, &mut rng);
        assert_eq!(rasterize(&[], &BALL, 0, 0, &mut rng).data().len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_strokes_and_pen_give_a_mask_within_reach_of_the_nodes(
            points in proptest::collection::vec((-30.0..90.0f32, -30.0..90.0f32), 1..8),
            width in 0.0..12.0f32, taper in 0.0..1.0f32, contrast in 0.0..1.0f32,
            roughness in 0.0..1.0f32, breaks in 0.0..1.0f32, seed in 0u64..100,
        ) {
            let pen = Pen { width, taper, contrast, roughness, breaks };
            let strokes = [smooth_polyline(&points, 4)];
            let mask = rasterize(&strokes, &pen, 60, 50, &mut Pcg64Mcg::seed_from_u64(seed));
            proptest::prop_assert_eq!(mask.data().len(), 60 * 50);
            if let (Some(ink), Some((l, t, r, b))) = (mask.ink_bounds(1), bounds(&strokes)) {
                let reach = width.max(0.3) + 2.0;
                proptest::prop_assert!(ink.left >= l - reach && ink.top >= t - reach);
                proptest::prop_assert!(ink.right <= r + reach && ink.bottom <= b + reach);
            }
        }
    }
}
