//! The picture while it is being made: linear in no strict sense, just RGB as `f32` in 0..=1, so
//! that shade, blur and noise do not accumulate rounding.

use super::geometry::Homography;
use hanja_handwriting::Mask;

/// Red, green, blue, each 0..=1.
pub(crate) type Colour = [f32; 3];

/// An RGB picture of `f32`.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, fill: Colour) -> Self {
        Self {
            width,
            height,
            pixels: vec![fill; width * height],
        }
    }

    /// Every pixel from its position (pixel centres are at `.5`).
    pub(crate) fn paint(&mut self, mut colour: impl FnMut(f32, f32, Colour) -> Colour) {
        for (y, row) in self.pixels.chunks_exact_mut(self.width.max(1)).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = colour(x as f32 + 0.5, y as f32 + 0.5, *pixel);
            }
        }
    }

    /// Lays ink over the picture where `mask` (its corner at `left`, `top`) covers it.
    pub(crate) fn ink(&mut self, mask: &Mask, left: i32, top: i32, ink: Colour, opacity: f32) {
        for (my, row) in mask.data().chunks_exact(mask.width().max(1)).enumerate() {
            let y = top + my as i32;
            if y < 0 || y >= self.height as i32 {
                continue;
            }
            for (mx, &cover) in row.iter().enumerate().filter(|(_, c)| **c > 0) {
                let x = left + mx as i32;
                if x >= 0 && x < self.width as i32 {
                    let pixel = &mut self.pixels[y as usize * self.width + x as usize];
                    blend(pixel, ink, f32::from(cover) / 255.0 * opacity);
                }
            }
        }
    }

    /// Draws a straight line of `width` picture pixels between two picture points.
    pub(crate) fn line(
        &mut self,
        a: (f32, f32),
        b: (f32, f32),
        width: f32,
        ink: Colour,
        opacity: f32,
    ) {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length = dx.hypot(dy);
        if !length.is_finite() || length < 1e-3 {
            return;
        }
        // Walk along the longer axis and fill across it: cost grows with the line, not its box.
        let steep = dy.abs() > dx.abs();
        let (limit, across) = if steep {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        };
        let (a0, a1, b0) = if steep {
            (a.1, a.0, b.1)
        } else {
            (a.0, a.1, b.0)
        };
        let slope = if steep { dx / dy } else { dy / dx };
        let shrink = 1.0 / (1.0 + slope * slope).sqrt();
        let half = width.max(0.2) * 0.5;
        let reach = (half + 0.5) / shrink;
        let strength = opacity * width.clamp(0.0, 1.0);
        let from = a0.min(b0).clamp(0.0, limit as f32) as usize;
        let to = a0.max(b0).clamp(0.0, limit as f32) as usize;
        for i in from..to {
            let centre = a1 + (i as f32 + 0.5 - a0) * slope;
            let start = (centre - reach).floor().clamp(0.0, across as f32) as usize;
            let end = (centre + reach).ceil().clamp(0.0, across as f32) as usize;
            for j in start..end {
                let distance = (j as f32 + 0.5 - centre).abs() * shrink;
                let cover = (half.max(0.5) + 0.5 - distance).clamp(0.0, 1.0);
                let at = if steep {
                    i * self.width + j
                } else {
                    j * self.width + i
                };
                blend(&mut self.pixels[at], ink, cover * strength);
            }
        }
    }

    /// As [`Self::line`], between two points of the plane that `map` brings into the picture.
    pub(crate) fn plane_line(
        &mut self,
        map: &Homography,
        ends: [(f32, f32); 2],
        width: f32,
        ink: Colour,
        opacity: f32,
    ) {
        let [a, b] = ends.map(|(x, y)| map.apply(x, y));
        self.line(a, b, width, ink, opacity);
    }

    /// Bilinear sample at a position in pixels (edge pixels go on for ever).
    pub(crate) fn sample(&self, x: f32, y: f32) -> Colour {
        let limit = |v: f32, n: usize| v.clamp(0.0, n.saturating_sub(1) as f32);
        let (x, y) = (limit(x - 0.5, self.width), limit(y - 0.5, self.height));
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (tx, ty) = (x - x0 as f32, y - y0 as f32);
        let at = |x: usize, y: usize| self.pixels[y * self.width + x];
        let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
        let mut out = [0.0; 3];
        for k in 0..3 {
            let top = a[k] + (b[k] - a[k]) * tx;
            let low = c[k] + (d[k] - c[k]) * tx;
            out[k] = top + (low - top) * ty;
        }
        out
    }

    /// The picture as 8-bit RGB bytes.
    pub(crate) fn to_rgb8(&self) -> Vec<u8> {
        let level = |v: &f32| (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        self.pixels
            .iter()
            .flat_map(|p| p.iter().map(level))
            .collect()
    }
}

/// Moves `pixel` towards `ink` by `amount` (0..=1).
pub(crate) fn blend(pixel: &mut Colour, ink: Colour, amount: f32) {
    for (p, i) in pixel.iter_mut().zip(ink) {
        *p += (i - *p) * amount;
    }
}

/// Brightness, 0..=1.
pub(crate) fn luma(c: Colour) -> f32 {
    0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_width_three_darkens_three_rows() {
        let mut canvas = Canvas::new(20, 20, [1.0; 3]);
        canvas.line((0.0, 10.5), (20.0, 10.5), 3.0, [0.0; 3], 1.0);
        let dark: Vec<usize> = (0..20)
            .filter(|y| luma(canvas.pixels[y * 20 + 7]) < 0.5)
            .collect();
        assert_eq!(dark, [9, 10, 11]);
    }

    #[test]
    fn lines_and_ink_outside_the_picture_are_cut() {
        let mut canvas = Canvas::new(8, 8, [0.5; 3]);
        canvas.line((-1e7, 3.0), (1e7, f32::NAN), 2.0, [0.0; 3], 1.0);
        canvas.line((-50.0, -50.0), (70.0, 60.0), 2.0, [0.0; 3], 1.0);
        canvas.ink(&Mask::new(5, 5), -3, 6, [0.0; 3], 1.0);
        assert_eq!(canvas.to_rgb8().len(), 8 * 8 * 3);
    }
}
