//! One written shape, whatever it came from, and its ink in the final picture.
//!
//! Every glyph lives in its own frame: centre at the origin, longest side 1. A bitmap (scanned
//! handwriting, a font) keeps its ink field and also the path found in it, so it can be shown as
//! it is or, mostly, written again with another pen; pen strokes have only the path.

use super::geometry::{Homography, Rect};
use super::thin::thin;
use hanja_handwriting::{Mask, Pen, Stroke, bounds, rasterize};
use rand::Rng;

/// A shape to be written.
#[derive(Clone, Debug)]
pub(crate) struct Glyph {
    bitmap: Option<Bitmap>,
    pub(super) path: Vec<Stroke>,
}

/// An ink field, 0..=255, cropped to the ink with a small border.
#[derive(Clone, Debug)]
struct Bitmap {
    width: usize,
    height: usize,
    field: Vec<u8>,
    /// Glyph units to bitmap pixels.
    scale: f32,
}

/// How a glyph is inked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inking {
    /// The scanned ink itself; the threshold 0.3 (fat) ..= 0.65 (thin) sets the thickness.
    AsScanned(f32),
    /// The path, written with a pen whose width is in picture pixels.
    Written(Pen),
}

/// A glyph's ink in the picture: `mask` lies with its corner at (`left`, `top`).
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) mask: Mask,
    pub(crate) left: i32,
    pub(crate) top: i32,
}

impl Glyph {
    /// From pen strokes in any unit; `None` when they have no extent.
    pub(crate) fn from_strokes(strokes: &[Stroke]) -> Option<Self> {
        let (l, t, r, b) = bounds(strokes)?;
        let size = (r - l).max(b - t);
        if !size.is_finite() || size <= 0.0 {
            return None;
        }
        let (cx, cy) = ((l + r) / 2.0, (t + b) / 2.0);
        let place = |x: f32, y: f32| ((x - cx) / size, (y - cy) / size);
        Some(Self {
            bitmap: None,
            path: strokes.iter().map(|s| s.mapped(place)).collect(),
        })
    }

    /// From a grey picture of one character, dark on light or light on dark; `None` when no ink
    /// stands out from the ground.
    pub(crate) fn from_grey(grey: &[u8], width: usize, height: usize) -> Option<Self> {
        let ink = ink_field(grey, width, height)?;
        let (field, width, height) = crop(&ink, width, height)?;
        let scale = (width.max(height) - 2 * MARGIN) as f32;
        // Where thinning lost a stroke (short blobs shrink to a dot), only the scan itself is true.
        let found = thin(&field, width, height).filter(|p| p.covers(&field, width));
        let (cx, cy) = (width as f32 / 2.0, height as f32 / 2.0);
        let place = |x: f32, y: f32| ((x - cx) / scale, (y - cy) / scale);
        let strokes = found.map(|p| p.strokes).unwrap_or_default();
        let path = strokes.iter().map(|s| s.mapped(place)).collect();
        Some(Self {
            bitmap: Some(Bitmap {
                width,
                height,
                field,
                scale,
            }),
            path,
        })
    }

    pub(crate) fn has_bitmap(&self) -> bool {
        self.bitmap.is_some()
    }

    /// The shorter side of its path, as a share of the longer one; 0 without a path.
    pub(crate) fn short_side(&self) -> f32 {
        bounds(&self.path).map_or(0.0, |(l, t, r, b)| (r - l).min(b - t))
    }

    /// Whether it can be written with a pen.
    pub(crate) fn has_path(&self) -> bool {
        !self.path.is_empty()
    }

    /// Writes the glyph through `map` (glyph frame to picture). The mask is complete even where it
    /// leaves the picture, so that the visible share can be told; `None` when it would be empty or
    /// absurdly large.
    pub(crate) fn place(
        &self,
        map: &Homography,
        inking: Inking,
        rng: &mut impl Rng,
    ) -> Option<Placed> {
        match (inking, &self.bitmap) {
            (Inking::AsScanned(threshold), Some(bitmap)) => bitmap.place(map, threshold),
            (Inking::Written(_), Some(bitmap)) if !self.has_path() => bitmap.place(map, 0.5),
            (Inking::Written(pen), _) => self.write(map, &pen, rng),
            // A line of a twelfth of the size is a plain felt pen.
            (Inking::AsScanned(_), None) => {
                self.write(map, &Pen::new(map.scale_at(0.0, 0.0) * 0.08), rng)
            }
        }
    }

    fn write(&self, map: &Homography, pen: &Pen, rng: &mut impl Rng) -> Option<Placed> {
        let strokes: Vec<Stroke> = self
            .path
            .iter()
            .map(|s| s.mapped(|x, y| map.apply(x, y)))
            .collect();
        let (l, t, r, b) = bounds(&strokes)?;
        let reach = pen.width * 0.8 + 2.0;
        let (left, top, width, height) = frame(l - reach, t - reach, r + reach, b + reach)?;
        let shift = |x: f32, y: f32| (x - left as f32, y - top as f32);
        let local: Vec<Stroke> = strokes.iter().map(|s| s.mapped(shift)).collect();
        Some(Placed {
            mask: rasterize(&local, pen, width, height, rng),
            left,
            top,
        })
    }
}

impl Bitmap {
    fn place(&self, map: &Homography, threshold: f32) -> Option<Placed> {
        let (hw, hh) = (
            self.width as f32 / 2.0 / self.scale,
            self.height as f32 / 2.0 / self.scale,
        );
        let corners = [(-hw, -hh), (hw, -hh), (hw, hh), (-hw, hh)].map(|(x, y)| map.apply(x, y));
        let fold = |f: fn(f32, f32) -> f32, pick: fn(&(f32, f32)) -> f32| {
            corners.iter().map(pick).fold(f32::NAN, f)
        };
        let (l, r) = (fold(f32::min, |c| c.0), fold(f32::max, |c| c.0));
        let (t, b) = (fold(f32::min, |c| c.1), fold(f32::max, |c| c.1));
        let (left, top, width, height) = frame(l, t, r, b)?;
        let back = map.inverse();
        // Picture pixels per bitmap pixel: enlarging sharpens the edge again, shrinking averages.
        let zoom = map.scale_at(0.0, 0.0) / self.scale;
        let sharpness = (1.7 * zoom).max(1.0);
        let taps = ((0.7 / zoom).ceil().clamp(1.0, 4.0)) as usize;
        let mut mask = Mask::new(width, height);
        for (y, row) in mask.data_mut().chunks_exact_mut(width).enumerate() {
            for (x, out) in row.iter_mut().enumerate() {
                let mut sum = 0.0;
                for k in 0..taps * taps {
                    let fx = ((k % taps) as f32 + 0.5) / taps as f32;
                    let fy = ((k / taps) as f32 + 0.5) / taps as f32;
                    let (u, v) =
                        back.apply((left + x as i32) as f32 + fx, (top + y as i32) as f32 + fy);
                    let f = self.smooth(u * self.scale, v * self.scale);
                    sum += ((f - threshold) * sharpness * taps as f32 + 0.5).clamp(0.0, 1.0);
                }
                *out = (sum / (taps * taps) as f32 * 255.0 + 0.5) as u8;
            }
        }
        Some(Placed { mask, left, top })
    }

    /// Quadratic B-spline sample (it smooths the coarse pixels), 0..=1; positions count from the
    /// centre of the bitmap.
    fn smooth(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (
            x + self.width as f32 / 2.0 - 0.5,
            y + self.height as f32 / 2.0 - 0.5,
        );
        let (ix, iy) = (x.round(), y.round());
        let weights = |d: f32| {
            let (a, c) = (0.5 - d, 0.5 + d);
            [0.5 * a * a, 0.75 - d * d, 0.5 * c * c]
        };
        let (wx, wy) = (weights(x - ix), weights(y - iy));
        let mut sum = 0.0;
        for (j, wy) in wy.iter().enumerate() {
            let row = iy as i32 + j as i32 - 1;
            if row < 0 || row >= self.height as i32 {
                continue;
            }
            for (i, wx) in wx.iter().enumerate() {
                let column = ix as i32 + i as i32 - 1;
                if column >= 0 && column < self.width as i32 {
                    let at = row as usize * self.width + column as usize;
                    sum += f32::from(self.field[at]) * wx * wy;
                }
            }
        }
        sum / 255.0
    }
}

impl Placed {
    /// The box of the ink in the picture, cut at a picture of `width` x `height`, and the share of
    /// the ink (0..=1) that is inside; `None` when nothing is visible.
    ///
    /// An edge lies inside its outermost pixel by the part that pixel is covered: with antialiased
    /// ink that is the true edge, to a fraction of a pixel.
    pub(crate) fn ink_box(&self, width: usize, height: usize) -> Option<(Rect, f32)> {
        let (mw, total) = (self.mask.width().max(1), self.mask.data());
        let (mut columns, mut rows) = (vec![0u8; width], vec![0u8; height]);
        let (mut seen, mut all) = (0u64, 0u64);
        for (i, &cover) in total.iter().enumerate().filter(|(_, c)| **c > 0) {
            all += u64::from(cover);
            let x = self.left + (i % mw) as i32;
            let y = self.top + (i / mw) as i32;
            if x >= 0 && y >= 0 && (x as usize) < width && (y as usize) < height {
                seen += u64::from(cover);
                columns[x as usize] = columns[x as usize].max(cover);
                rows[y as usize] = rows[y as usize].max(cover);
            }
        }
        let (left, right) = extent(&columns)?;
        let (top, bottom) = extent(&rows)?;
        Some((
            Rect {
                left,
                top,
                right,
                bottom,
            },
            seen as f32 / all.max(1) as f32,
        ))
    }
}

/// First and last edge of a profile of coverage, to a fraction of a pixel.
fn extent(profile: &[u8]) -> Option<(f32, f32)> {
    let peak = f32::from(*profile.iter().max()?);
    if peak < 40.0 {
        return None;
    }
    let inked = |v: &u8| f32::from(*v) > 0.3 * peak;
    let first = profile.iter().position(inked)?;
    let last = profile.iter().rposition(inked)?;
    let part = |i: usize| f32::from(profile[i]) / peak;
    // The pixel outside may hold a little of the edge as well.
    let beyond = |i: Option<usize>| i.filter(|i| *i < profile.len()).map_or(0.0, part);
    let low = first as f32 + 1.0 - part(first) - beyond(first.checked_sub(1));
    let high = last as f32 + part(last) + beyond(Some(last + 1));
    (high > low).then_some((low.max(0.0), high.min(profile.len() as f32)))
}

/// Whole-pixel frame around a box: left, top, width, height.
fn frame(l: f32, t: f32, r: f32, b: f32) -> Option<(i32, i32, usize, usize)> {
    let sound = [l, t, r, b]
        .iter()
        .all(|v| v.is_finite() && v.abs() < 8192.0);
    if !sound || r - l > 2048.0 || b - t > 2048.0 {
        return None;
    }
    let (left, top) = (l.floor() as i32, t.floor() as i32);
    let (width, height) = (r.ceil() as i32 - left, b.ceil() as i32 - top);
    (width > 0 && height > 0).then_some((left, top, width as usize, height as usize))
}

const MARGIN: usize = 2;

/// Ink 0..=255 from a grey picture: the border's majority is the ground, whatever its shade.
fn ink_field(grey: &[u8], width: usize, height: usize) -> Option<Vec<u8>> {
    if width < 4 || height < 4 || grey.len() != width * height {
        return None;
    }
    let on_border = |i: &usize| {
        let (x, y) = (i % width, i / width);
        x == 0 || y == 0 || x + 1 == width || y + 1 == height
    };
    let mut border: Vec<u8> = (0..grey.len()).filter(on_border).map(|i| grey[i]).collect();
    border.sort_unstable();
    let ground = f32::from(border[border.len() / 2]);
    let mut away: Vec<f32> = grey.iter().map(|v| f32::from(*v) - ground).collect();
    if ground > 127.0 {
        away.iter_mut().for_each(|v| *v = -*v);
    }
    let mut sorted = away.clone();
    sorted.sort_unstable_by(f32::total_cmp);
    // A few darkest pixels are passed over: a single spark does not set the scale. Not many, as a
    // small 一 may be twenty pixels in all.
    let peak = sorted[sorted.len() - 1 - sorted.len() / 500];
    if peak < 40.0 {
        return None;
    }
    // Below a power of one, faint strokes of the same pen are lifted over the threshold.
    let level = |v: &f32| (((v / peak - 0.1) / 0.85).clamp(0.0, 1.0).powf(0.7) * 255.0) as u8;
    let mut field = away.iter().map(level).collect::<Vec<u8>>();
    drop_specks(&mut field, width, height);
    Some(field)
}

/// Clears connected spots smaller than a hundredth of the ink: dust would widen the box.
fn drop_specks(field: &mut [u8], width: usize, height: usize) {
    const INK: u8 = 70;
    let inked = field.iter().filter(|v| **v > INK).count();
    let smallest = (inked / 80).max(2);
    let mut seen = vec![false; field.len()];
    for start in 0..field.len() {
        if seen[start] || field[start] <= INK {
            continue;
        }
        let mut spot = vec![start];
        seen[start] = true;
        let mut next = 0;
        while let Some(&i) = spot.get(next) {
            next += 1;
            let (x, y) = (i % width, i / width);
            for ny in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for nx in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let n = ny * width + nx;
                    if !seen[n] && field[n] > INK {
                        seen[n] = true;
                        spot.push(n);
                    }
                }
            }
        }
        if spot.len() < smallest {
            spot.iter().for_each(|i| field[*i] = 0);
        }
    }
}

/// Cuts the field to its ink, with an empty margin around it.
fn crop(field: &[u8], width: usize, height: usize) -> Option<(Vec<u8>, usize, usize)> {
    const INK: u8 = 90;
    let inked: Vec<usize> = (0..field.len()).filter(|i| field[*i] > INK).collect();
    let left = inked.iter().map(|i| i % width).min()?;
    let right = inked.iter().map(|i| i % width).max()? + 1;
    let (top, bottom) = (inked.first()? / width, inked.last()? / width + 1);
    let (w, h) = (right - left + 2 * MARGIN, bottom - top + 2 * MARGIN);
    let mut out = vec![0; w * h];
    for y in 0..bottom - top {
        let from = (top + y) * width + left;
        let to = (y + MARGIN) * w + MARGIN;
        out[to..to + right - left].copy_from_slice(&field[from..from + right - left]);
    }
    (h <= height + 2 * MARGIN).then_some((out, w, h))
}

#[cfg(test)]
mod tests {
    use super::super::canvas::Canvas;
    use super::*;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    /// A picture of a bar, `ink` on `ground`.
    fn bar(ground: u8, ink: u8) -> Vec<u8> {
        let mut grey = vec![ground; 64 * 64];
        for y in 28..34 {
            grey[y * 64 + 10..y * 64 + 50].fill(ink);
        }
        grey
    }

    #[test]
    fn both_polarities_give_the_same_box() {
        let map =
            Homography::translation(100.0, 80.0).after(Homography::scale_slant(80.0, 80.0, 0.0));
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        for grey in [bar(0, 255), bar(240, 20)] {
            let glyph = Glyph::from_grey(&grey, 64, 64).unwrap();
            let placed = glyph.place(&map, Inking::AsScanned(0.5), &mut rng).unwrap();
            let (rect, visible) = placed.ink_box(200, 160).unwrap();
            assert!((visible - 1.0).abs() < 1e-6);
            // The bar is 40 x 6 source pixels, so 80 x 12 here, centred at (100, 80).
            let want = Rect {
                left: 60.0,
                top: 74.0,
                right: 140.0,
                bottom: 86.0,
            };
            for (a, b) in [
                (rect.left, want.left),
                (rect.top, want.top),
                (rect.right, want.right),
                (rect.bottom, want.bottom),
            ] {
                assert!((a - b).abs() < 1.0, "{rect:?}");
            }
        }
    }

    #[test]
    fn a_glyph_half_outside_is_half_visible() {
        let glyph = Glyph::from_grey(&bar(0, 255), 64, 64).unwrap();
        let map =
            Homography::translation(0.0, 30.0).after(Homography::scale_slant(40.0, 40.0, 0.0));
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let placed = glyph.place(&map, Inking::AsScanned(0.5), &mut rng).unwrap();
        let (rect, visible) = placed.ink_box(60, 60).unwrap();
        assert!((visible - 0.5).abs() < 0.05, "{visible}");
        assert_eq!(rect.left, 0.0);
    }

    #[test]
    fn blank_and_tiny_pictures_are_no_glyphs() {
        assert!(Glyph::from_grey(&[200; 400], 20, 20).is_none());
        assert!(Glyph::from_grey(&[0; 4], 2, 2).is_none());
        assert!(Glyph::from_strokes(&[]).is_none());
    }

    #[test]
    fn written_ink_is_boxed_to_the_pens_edge() {
        let stroke = hanja_handwriting::smooth_polyline(&[(0.0, 0.0), (1.0, 0.0)], 8);
        let glyph = Glyph::from_strokes(&[stroke]).unwrap();
        let map =
            Homography::translation(30.2, 20.5).after(Homography::scale_slant(40.0, 40.0, 0.0));
        let pen = Pen {
            width: 3.0,
            taper: 0.0,
            contrast: 0.0,
            roughness: 0.0,
            breaks: 0.0,
        };
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let placed = glyph.place(&map, Inking::Written(pen), &mut rng).unwrap();
        let (rect, _) = placed.ink_box(64, 64).unwrap();
        assert!(
            (rect.top - 19.0).abs() < 0.1 && (rect.bottom - 22.0).abs() < 0.1,
            "{rect:?}"
        );
        assert!(
            (rect.left - 8.7).abs() < 0.4 && (rect.right - 51.7).abs() < 0.4,
            "{rect:?}"
        );
    }

    proptest::proptest! {
        /// What a label says against the pixels that the ink changed.
        #[test]
        fn the_box_is_that_of_the_pixels(
            class in 0usize..10, seed: u64, size in 12.0..120.0f32, turn in -0.6..0.6f32,
            x in -20.0..180.0f32, y in -20.0..140.0f32, pen in 1.2..9.0f32,
        ) {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            let strokes = hanja_handwriting::numeral(class, hanja_handwriting::Style::Regular, &mut rng);
            let glyph = Glyph::from_strokes(&strokes).unwrap();
            let map = Homography::translation(x, y)
                .after(Homography::rotation(turn))
                .after(Homography::scale_slant(size, size, 0.1));
            let placed = glyph.place(&map, Inking::Written(Pen::new(pen)), &mut rng);
            let mut canvas = Canvas::new(160, 120, [1.0; 3]);
            let boxed = placed.and_then(|placed| {
                canvas.ink(&placed.mask, placed.left, placed.top, [0.0; 3], 1.0);
                placed.ink_box(160, 120)
            });
            let darkest = canvas.pixels.iter().map(|p| 1.0 - p[0]).fold(0.15, f32::max);
            let inked: Vec<(f32, f32)> = (0..160 * 120)
                .filter(|i| 1.0 - canvas.pixels[*i][0] > 0.3 * darkest)
                .map(|i| ((i % 160) as f32, (i / 160) as f32))
                .collect();
            let Some((rect, _)) = boxed else {
                proptest::prop_assert!(darkest < 0.4, "ink without a box");
                return Ok(());
            };
            // The ink ends where the box ends, on all four sides, within one pixel.
            let edge = |of: fn(&(f32, f32)) -> f32, pick: fn(f32, f32) -> f32| {
                inked.iter().map(of).reduce(pick)
            };
            for (label, pixel) in [
                (rect.left, edge(|p| p.0, f32::min)),
                (rect.top, edge(|p| p.1, f32::min)),
                (rect.right, edge(|p| p.0 + 1.0, f32::max)),
                (rect.bottom, edge(|p| p.1 + 1.0, f32::max)),
            ] {
                let near = pixel.is_some_and(|pixel| (label - pixel).abs() <= 1.0);
                proptest::prop_assert!(near, "{rect:?}: {label} and {pixel:?}");
            }
        }
    }
}
