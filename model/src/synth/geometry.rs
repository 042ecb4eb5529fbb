//! Plane geometry of a scene: one 3x3 homography carries the sheet (in pixels of an unwarped
//! frame) to the picture, and every glyph and line goes through it before it is inked. So nothing
//! is resampled, and a glyph's mask is its exact ink in the final pixels.

/// A 3x3 projective map, row by row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Homography(pub(crate) [f32; 9]);

impl Homography {
    pub(crate) const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);

    pub(crate) fn translation(x: f32, y: f32) -> Self {
        Self([1.0, 0.0, x, 0.0, 1.0, y, 0.0, 0.0, 1.0])
    }

    pub(crate) fn rotation(radians: f32) -> Self {
        let (s, c) = radians.sin_cos();
        Self([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0])
    }

    /// Scales, then leans upright lines by `slant` (x grows with -y).
    pub(crate) fn scale_slant(sx: f32, sy: f32, slant: f32) -> Self {
        Self([sx, -slant * sy, 0.0, 0.0, sy, 0.0, 0.0, 0.0, 1.0])
    }

    /// Perspective about the origin: points with `px * x + py * y > 0` move away and shrink.
    pub(crate) fn perspective(px: f32, py: f32) -> Self {
        Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, px, py, 1.0])
    }

    /// The map that applies `first` and then `self`.
    pub(crate) fn after(self, first: Self) -> Self {
        let (a, b) = (self.0, first.0);
        let mut out = [0.0; 9];
        for row in 0..3 {
            for column in 0..3 {
                out[row * 3 + column] = (0..3).map(|k| a[row * 3 + k] * b[k * 3 + column]).sum();
            }
        }
        Self(out)
    }

    pub(crate) fn apply(&self, x: f32, y: f32) -> (f32, f32) {
        let m = &self.0;
        let w = m[6] * x + m[7] * y + m[8];
        // Points on or behind the horizon are never drawn; keep them finite.
        let w = if w.abs() < 1e-3 { 1e-3 } else { w };
        (
            (m[0] * x + m[1] * y + m[2]) / w,
            (m[3] * x + m[4] * y + m[5]) / w,
        )
    }

    pub(crate) fn inverse(&self) -> Self {
        let m = &self.0;
        let minor = |a: usize, b: usize, c: usize, d: usize| m[a] * m[d] - m[b] * m[c];
        let cofactors = [
            minor(4, 5, 7, 8),
            -minor(1, 2, 7, 8),
            minor(1, 2, 4, 5),
            -minor(3, 5, 6, 8),
            minor(0, 2, 6, 8),
            -minor(0, 2, 3, 5),
            minor(3, 4, 6, 7),
            -minor(0, 1, 6, 7),
            minor(0, 1, 3, 4),
        ];
        let det = m[0] * cofactors[0] + m[1] * cofactors[3] + m[2] * cofactors[6];
        let det = if det.abs() < 1e-12 { 1e-12 } else { det };
        Self(cofactors.map(|c| c / det))
    }

    /// How many picture pixels one unit of the plane covers at a point (square root of the area).
    pub(crate) fn scale_at(&self, x: f32, y: f32) -> f32 {
        let step = 0.01;
        let (ox, oy) = self.apply(x, y);
        let (ax, ay) = self.apply(x + step, y);
        let (bx, by) = self.apply(x, y + step);
        let area = (ax - ox) * (by - oy) - (ay - oy) * (bx - ox);
        area.abs().sqrt() / step
    }
}

/// A box in picture pixels, right and bottom exclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rect {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
}

impl Rect {
    pub(crate) fn width(&self) -> f32 {
        (self.right - self.left).max(0.0)
    }

    pub(crate) fn height(&self) -> f32 {
        (self.bottom - self.top).max(0.0)
    }

    pub(crate) fn area(&self) -> f32 {
        self.width() * self.height()
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    pub(crate) fn grown(&self, by: f32) -> Self {
        Self {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_undoes_the_map() {
        let map = Homography::translation(30.0, -4.0)
            .after(Homography::perspective(0.001, -0.0007))
            .after(Homography::rotation(0.3))
            .after(Homography::scale_slant(2.0, 1.5, 0.2));
        for (x, y) in [(0.0, 0.0), (40.0, -30.0), (-25.0, 60.0)] {
            let (u, v) = map.apply(x, y);
            let (bx, by) = map.inverse().apply(u, v);
            assert!(
                (bx - x).abs() < 0.01 && (by - y).abs() < 0.01,
                "{x} {y} -> {bx} {by}"
            );
        }
    }

    #[test]
    fn scale_at_is_the_root_of_the_area() {
        let map = Homography::scale_slant(4.0, 1.0, 0.5);
        assert!((map.scale_at(3.0, 2.0) - 2.0).abs() < 0.01);
    }

    #[test]
    fn disjoint_boxes_intersect_in_nothing() {
        let a = Rect {
            left: 0.0,
            top: 0.0,
            right: 2.0,
            bottom: 2.0,
        };
        let b = Rect {
            left: 3.0,
            top: 1.0,
            right: 4.0,
            bottom: 2.0,
        };
        assert_eq!(a.intersection(&b).area(), 0.0);
        assert_eq!(a.intersection(&a.grown(1.0)), a);
    }
}
