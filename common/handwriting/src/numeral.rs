//! From the shapes in [`crate::skeleton`] to strokes as somebody wrote them: every call is a new
//! hand, with its own slant, proportions, shaking and pressure.

use crate::skeleton::{Draft, drafts};
use crate::stroke::{Node, Stroke, curve};
use rand::{Rng, RngExt};

/// Number of classes: 一 to 十.
pub const CLASSES: usize = 10;

/// The characters by class, 0 to 9.
pub const LABELS: [&str; CLASSES] = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十"];

/// How carefully the hand writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Stroke by stroke, as taught at school.
    Regular,
    /// Quicker: strokes lean, run into one another and are joined by faint traces.
    SemiCursive,
    /// The forms of single hands: 五 in one stroke on a bar, 七 with a loop, 二 with a hooked upper stroke, 三 with a
    /// broken middle one, 六 in two parts, 四 around a diagonal. As [`Style::SemiCursive`] where a numeral has none.
    Unusual,
}

/// Writes numeral `class` (0 = 一 … 9 = 十; larger values write 十) into about the unit box.
///
/// The strokes are in writing order. Their box is not exactly the unit box: use [`crate::fit`].
#[must_use]
pub fn numeral(class: usize, style: Style, rng: &mut impl Rng) -> Vec<Stroke> {
    let looseness = match style {
        Style::Regular => rng.random_range(0.3..1.0),
        Style::SemiCursive | Style::Unusual => rng.random_range(0.7..1.7),
    };
    let mut shapes = drafts(class, style, rng);
    for shape in &mut shapes {
        disturb(shape, looseness, rng);
    }
    let mut strokes: Vec<Stroke> = shapes.iter().map(|s| trace(s, looseness, rng)).collect();
    // Joining the bars of 二 and 三 would write 乙 and 己; two crossing strokes would close up.
    if style == Style::SemiCursive && matches!(class, 3..=5) && rng.random_bool(0.3) {
        join_two(&mut strokes, rng);
    }
    let hand = Hand::draw(looseness, rng);
    strokes
        .iter()
        .map(|s| s.mapped(|x, y| hand.place(x, y)))
        .collect()
}

/// Moves, turns and stretches one stroke as a whole, then each of its control points.
fn disturb(draft: &mut Draft, looseness: f32, rng: &mut impl Rng) {
    let points = || draft.pieces.iter().flatten();
    let count = points().count().max(1) as f32;
    let cx = points().map(|p| p.0).sum::<f32>() / count;
    let cy = points().map(|p| p.1).sum::<f32>() / count;
    let spread = |rng: &mut _, amount: f32| bell(rng) * amount * looseness;
    let (dx, dy) = (spread(rng, 0.02), spread(rng, 0.02));
    let (sin, cos) = spread(rng, 0.05).sin_cos();
    let stretch = 1.0 + spread(rng, 0.06);
    let mut previous: Option<((f32, f32), (f32, f32))> = None;
    for p in draft.pieces.iter_mut().flatten() {
        // The same corner ends one piece and begins the next: both must move together.
        if let Some((before, after)) = previous
            && before == *p
        {
            *p = after;
            continue;
        }
        let before = *p;
        let (x, y) = ((p.0 - cx) * stretch, (p.1 - cy) * stretch);
        p.0 = cx + dx + x * cos - y * sin + spread(rng, 0.014);
        p.1 = cy + dy + x * sin + y * cos + spread(rng, 0.014);
        previous = Some((before, *p));
    }
}

/// Smooths a draft into nodes and adds the shaking and the pressure of the hand.
fn trace(draft: &Draft, looseness: f32, rng: &mut impl Rng) -> Stroke {
    let mut nodes = Vec::new();
    for piece in &draft.pieces {
        curve(piece, 7, &mut nodes);
    }
    let shake = rng.random_range(0.0..0.009) * looseness;
    let (pace, phase) = (rng.random_range(3.0..9.0), rng.random_range(0.0..6.3));
    let (press, swell) = (rng.random_range(0.85..1.15), bell(rng) * 0.18);
    let last = nodes.len().saturating_sub(1).max(1) as f32;
    for (i, node) in nodes.iter_mut().enumerate() {
        let t = i as f32 / last;
        node.x += shake * (t * pace * 2.0 + phase).sin();
        node.y += shake * (t * pace * 2.7 + phase * 1.7).cos();
        node.pressure = (press + swell * (t * 2.0 - 1.0)).clamp(0.3, 1.6);
    }
    Stroke { nodes }
}

/// Leaves a faint trace from the end of one stroke to the start of the next.
fn join_two(strokes: &mut Vec<Stroke>, rng: &mut impl Rng) {
    if strokes.len() < 2 {
        return;
    }
    let at = rng.random_range(0..strokes.len() - 1);
    let (Some(from), Some(to)) = (
        strokes[at].nodes.last().copied(),
        strokes[at + 1].nodes.first().copied(),
    ) else {
        return;
    };
    let lightness = rng.random_range(0.2..0.6);
    let middle = (
        (from.x + to.x) / 2.0 + bell(rng) * 0.03,
        (from.y + to.y) / 2.0,
    );
    let mut nodes = Vec::new();
    curve(&[(from.x, from.y), middle, (to.x, to.y)], 6, &mut nodes);
    let faint = nodes
        .into_iter()
        .map(|n| Node {
            pressure: lightness,
            ..n
        })
        .collect();
    strokes.insert(at + 1, Stroke { nodes: faint });
}

/// What all strokes of one character share: proportions, slant and rotation.
struct Hand {
    aspect: f32,
    slant: f32,
    sin: f32,
    cos: f32,
}

impl Hand {
    fn draw(looseness: f32, rng: &mut impl Rng) -> Self {
        let (sin, cos) = (bell(rng) * 0.05 * looseness).sin_cos();
        Self {
            aspect: 1.0 + bell(rng) * 0.12,
            slant: bell(rng) * 0.08 * looseness,
            sin,
            cos,
        }
    }

    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (
            (x - 0.5) * self.aspect.max(0.5) - (y - 0.5) * self.slant,
            y - 0.5,
        );
        (
            0.5 + x * self.cos - y * self.sin,
            0.5 + x * self.sin + y * self.cos,
        )
    }
}

/// A bell-shaped value of standard deviation 1, within -3.5..3.5 (sum of four uniforms).
fn bell(rng: &mut impl Rng) -> f32 {
    let sum: f32 = (0..4).map(|_| rng.random_range(-1.0f32..1.0)).sum();
    sum * 0.866
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pen, bounds, fit, rasterize};
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    #[test]
    fn every_class_and_style_stays_near_the_unit_box() {
        for class in 0..CLASSES {
            for style in [Style::Regular, Style::SemiCursive] {
                for seed in 0..200 {
                    let mut rng = Pcg64Mcg::seed_from_u64(seed);
                    let strokes = numeral(class, style, &mut rng);
                    let (l, t, r, b) = bounds(&strokes).unwrap();
                    assert!(
                        l > -0.6 && t > -0.6 && r < 1.6 && b < 1.6,
                        "{class} {l} {t} {r} {b}"
                    );
                    assert!(
                        (r - l).max(b - t) > 0.5,
                        "class {class} seed {seed} is too small"
                    );
                }
            }
        }
    }

    #[test]
    fn regular_numerals_have_the_taught_number_of_strokes() {
        let taught = [1, 2, 3, 5, 4, 4, 2, 2, 2, 2];
        for (class, &count) in taught.iter().enumerate() {
            for seed in 0..20 {
                let mut rng = Pcg64Mcg::seed_from_u64(seed);
                assert_eq!(
                    numeral(class, Style::Regular, &mut rng).len(),
                    count,
                    "class {class}"
                );
            }
        }
    }

    #[test]
    fn the_same_seed_writes_the_same_and_another_seed_does_not() {
        let write = |seed| numeral(4, Style::SemiCursive, &mut Pcg64Mcg::seed_from_u64(seed));
        assert_eq!(write(5), write(5));
        assert_ne!(write(5), write(6));
    }

    #[test]
    fn one_is_flat_and_ten_is_not() {
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        let mut shape = |class| {
            let strokes = fit(&numeral(class, Style::Regular, &mut rng), 4.0, 4.0, 56.0);
            let mask = rasterize(&strokes, &Pen::new(3.0), 64, 64, &mut rng);
            let b = mask.ink_bounds(128).unwrap();
            (b.right - b.left) / (b.bottom - b.top)
        };
        assert!(shape(0) > 3.0);
        assert!((0.5..2.0).contains(&shape(9)));
    }
}
