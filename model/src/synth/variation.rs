//! The same character by another hand: bent, leaning, with the hooks that a pen in a hurry leaves behind. Recorded
//! writers are few, and those whom the product meets are none of them.

use super::glyph::Glyph;
use hanja_handwriting::{Node, Stroke};
use rand::{Rng, RngExt};

/// How near another stroke an end may lie and still be free, in glyph units: a hook at a crossing is another character.
const FREE: f32 = 0.1;
/// Share of free ends that get a hook, in a glyph that has any.
const HOOKED_ENDS: f64 = 0.4;

impl Glyph {
    /// Another hand's way to write the same shape: its path bent by slow waves and its proportions
    /// changed from one side to the other. The ink field, if any, stays as it was.
    pub(crate) fn warped(mut self, rng: &mut impl Rng) -> Self {
        // Above a fifth of the size, strokes of 三 or 四 can touch.
        let mut wave = || {
            let (height, length) = (
                rng.random_range(0.0..0.05f32),
                rng.random_range(0.5..1.3f32),
            );
            let phase = rng.random_range(0.0..std::f32::consts::TAU);
            move |t: f32| height * (t * std::f32::consts::TAU / length + phase).sin()
        };
        let (along_x, across_x, along_y, across_y) = (wave(), wave(), wave(), wave());
        let (lean_x, lean_y) = (
            rng.random_range(-0.3..0.3f32),
            rng.random_range(-0.3..0.3f32),
        );
        let bend = |x: f32, y: f32| {
            (
                x + lean_x * (x * x - 0.25) + along_x(x) + across_x(y),
                y + lean_y * (y * y - 0.25) + along_y(y) + across_y(x),
            )
        };
        let bent: Vec<Stroke> = self.path.iter().map(|s| s.mapped(bend)).collect();
        // Centre and size are what a glyph promises.
        if let Some(glyph) = Self::from_strokes(&bent) {
            self.path = glyph.path;
        }
        self
    }

    /// Adds short hooks to free ends of its strokes, as a pen draws them that comes from the last stroke or is off to
    /// the next. The ink field, if any, stays as it was.
    pub(crate) fn hooked(mut self, rng: &mut impl Rng) -> Self {
        let before = self.path.clone();
        for (index, stroke) in self.path.iter_mut().enumerate() {
            let free = |end: &Node| {
                let others = before.iter().enumerate().filter(|(i, _)| *i != index);
                !others
                    .flat_map(|(_, s)| &s.nodes)
                    .any(|n| distance(n, end) < FREE)
            };
            for _ in 0..2 {
                // Both ends: the hook is put to the last one, then the stroke is turned round.
                if stroke.nodes.last().is_some_and(free) && rng.random_bool(HOOKED_ENDS) {
                    add_hook(stroke, rng);
                }
                stroke.nodes.reverse();
            }
        }
        if let Some(glyph) = Self::from_strokes(&self.path) {
            self.path = glyph.path;
        }
        self
    }
}

fn distance(a: &Node, b: &Node) -> f32 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// Lengthens `stroke` by a hook of 3 to 12 % of the glyph's size that bends away by 60 to 160 degrees.
fn add_hook(stroke: &mut Stroke, rng: &mut impl Rng) {
    const NODES: i32 = 5;
    let (Some(end), Some(before)) = (
        stroke.nodes.last().copied(),
        stroke
            .nodes
            .iter()
            .rev()
            .find(|n| distance(n, &stroke.nodes[stroke.nodes.len() - 1]) > 0.04)
            .copied(),
    ) else {
        return; // a dot has no direction
    };
    let side = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
    let turn = side * rng.random_range(1.05..2.8f32) / NODES as f32;
    let step = rng.random_range(0.03..0.12f32) / NODES as f32;
    let mut heading = (end.y - before.y).atan2(end.x - before.x);
    let mut at = end;
    for i in 1..=NODES {
        heading += turn;
        at = Node {
            x: at.x + step * heading.cos(),
            y: at.y + step * heading.sin(),
            pressure: end.pressure * (1.0 - 0.12 * i as f32),
        };
        stroke.nodes.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_handwriting::bounds;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    fn line(from: (f32, f32), to: (f32, f32)) -> Stroke {
        hanja_handwriting::smooth_polyline(&[from, to], 8)
    }

    #[test]
    fn free_ends_get_hooks_and_crossings_do_not() {
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let one = Glyph::from_strokes(&[line((0.0, 0.0), (1.0, 0.0))]).unwrap();
        let hooked = (0..50)
            .filter(|_| one.clone().hooked(&mut rng).short_side() > 0.0)
            .count();
        assert!((20..45).contains(&hooked), "{hooked} of 50");
        // A corner of two strokes: both ends there stay as they are.
        let corner = [line((0.0, 0.0), (1.0, 0.0)), line((1.0, 0.0), (1.0, 1.0))];
        let corner = Glyph::from_strokes(&corner).unwrap();
        for _ in 0..50 {
            let glyph = corner.clone().hooked(&mut rng);
            let (first, second) = (&glyph.path[0], &glyph.path[1]);
            assert_eq!(first.nodes.last(), second.nodes.first());
        }
    }

    #[test]
    fn a_hooked_glyph_keeps_centre_and_size() {
        let mut rng = Pcg64Mcg::seed_from_u64(2);
        let strokes = [line((0.0, 0.0), (1.0, 0.2)), line((0.3, 0.5), (0.4, 1.0))];
        for _ in 0..50 {
            let glyph = Glyph::from_strokes(&strokes)
                .unwrap()
                .warped(&mut rng)
                .hooked(&mut rng);
            let (l, t, r, b) = bounds(&glyph.path).unwrap();
            assert!(((r - l).max(b - t) - 1.0).abs() < 1e-4);
            assert!((l + r).abs() < 1e-4 && (t + b).abs() < 1e-4);
        }
    }
}
