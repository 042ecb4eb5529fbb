//! Printed and stray lines: tables, rulings, squares, sudoku blocks, cables and window frames.
//! They look like 一 and 十, are in almost every real scene, and are never labelled.

use super::canvas::{Canvas, Colour};
use super::layout::{Arrangement, Frame, cells};
use rand::{Rng, RngExt};
use std::ops::RangeInclusive;

/// How lines are printed; widths in picture pixels.
#[derive(Clone, Copy, Debug)]
struct Rule {
    ink: Colour,
    opacity: f32,
    width: f32,
    /// Every so many cells a heavy line; 0 for none.
    block: usize,
    /// How much wider heavy lines and borders are.
    heavy: f32,
}

impl Rule {
    fn draw(width: (f32, f32), opacity: (f32, f32), block: usize, rng: &mut impl Rng) -> Self {
        Self {
            ink: line_colour(rng),
            opacity: rng.random_range(opacity.0..opacity.1),
            width: rng.random_range(width.0..width.1),
            block,
            heavy: rng.random_range(1.5..4.5),
        }
    }
}

fn line_colour(rng: &mut impl Rng) -> Colour {
    match rng.random_range(0..10) {
        0..=4 => [rng.random_range(0.02..0.3); 3],
        5 => [0.35, 0.5, 0.8],
        6 => [0.85, 0.45, 0.45],
        7 => [0.4, 0.65, 0.5],
        _ => [rng.random_range(0.3..0.65); 3],
    }
}

/// Draws the lines that belong to an arrangement, if it has any.
pub(crate) fn draw(
    canvas: &mut Canvas,
    frame: &Frame,
    arrangement: &Arrangement,
    rng: &mut impl Rng,
) {
    match *arrangement {
        Arrangement::Table {
            cell,
            origin,
            block,
        } => {
            let scale = canvas.width as f32 / 320.0;
            let rule = Rule::draw((0.7 * scale, 2.2 * scale), (0.45, 1.0), block, rng);
            table(canvas, frame, cell, origin, &rule, rng);
        }
        Arrangement::Rows {
            pitch,
            origin,
            upright,
            ..
        } if rng.random_bool(0.65) => {
            let rule = Rule::draw((0.6, 1.5), (0.25, 0.9), 0, rng);
            ruled(canvas, frame, pitch, origin, upright, &rule);
        }
        Arrangement::Rows { .. } => {}
        Arrangement::Scatter => stationery(canvas, frame, rng),
    }
}

/// Squared paper finer than the writing, or ruled paper that nobody keeps to.
fn stationery(canvas: &mut Canvas, frame: &Frame, rng: &mut impl Rng) {
    let side = canvas.width as f32;
    match rng.random_range(0..10) {
        0..=2 => {
            let step = side * rng.random_range(0.03..0.12f32);
            let cell = (step, step * rng.random_range(0.95..1.05f32));
            let rule = Rule::draw((0.5, 1.3), (0.2, 0.75), 0, rng);
            table(
                canvas,
                frame,
                cell,
                (rng.random_range(0.0..step), 0.0),
                &rule,
                rng,
            );
        }
        3 | 4 => {
            let pitch = side * rng.random_range(0.05..0.2f32);
            let rule = Rule::draw((0.6, 1.6), (0.25, 0.9), 0, rng);
            let origin = (0.0, rng.random_range(0.0..pitch));
            ruled(canvas, frame, pitch, origin, rng.random_bool(0.15), &rule);
        }
        _ => {}
    }
}

fn table(
    canvas: &mut Canvas,
    frame: &Frame,
    cell: (f32, f32),
    origin: (f32, f32),
    rule: &Rule,
    rng: &mut impl Rng,
) {
    let (columns, rows) = cells(frame.seen().intersection(&frame.sheet), cell, origin);
    let ends = rng.random_bool(0.35);
    let (c0, c1) = extent(&columns, ends, rng);
    let (r0, r1) = extent(&rows, ends, rng);
    let at = |c: i32, r: i32| (origin.0 + c as f32 * cell.0, origin.1 + r as f32 * cell.1);
    let width = |i: i32, first: i32, last: i32| {
        let heavy = rule.block > 0 && i.rem_euclid(rule.block as i32) == 0;
        let border = ends && (i == first || i == last);
        if heavy || border {
            rule.width * rule.heavy
        } else {
            rule.width
        }
    };
    for c in c0..=c1 {
        let w = width(c, c0, c1);
        canvas.plane_line(
            &frame.map,
            [at(c, r0), at(c, r1)],
            w,
            rule.ink,
            rule.opacity,
        );
    }
    for r in r0..=r1 {
        let w = width(r, r0, r1);
        canvas.plane_line(
            &frame.map,
            [at(c0, r), at(c1, r)],
            w,
            rule.ink,
            rule.opacity,
        );
    }
}

/// First and last line of a table: beyond the frame, or, where it `ends`, perhaps within it.
fn extent(cells: &RangeInclusive<i32>, ends: bool, rng: &mut impl Rng) -> (i32, i32) {
    let span = (cells.end() - cells.start()) as f32;
    if !ends || span <= 2.0 {
        return (cells.start() - 1, cells.end() + 2);
    }
    let mut cut = || (rng.random_range(0.0..0.3) * span) as i32;
    let first = cells.start() + cut();
    (first, (cells.end() + 1 - cut()).max(first + 2))
}

fn ruled(
    canvas: &mut Canvas,
    frame: &Frame,
    pitch: f32,
    origin: (f32, f32),
    upright: bool,
    rule: &Rule,
) {
    let area = frame.seen().intersection(&frame.sheet);
    let pitch = pitch.max(6.0);
    let (columns, rows) = cells(area, (pitch, pitch), origin);
    for i in if upright { columns } else { rows } {
        let step = i as f32 * pitch;
        let ends = if upright {
            [(origin.0 + step, area.top), (origin.0 + step, area.bottom)]
        } else {
            [(area.left, origin.1 + step), (area.right, origin.1 + step)]
        };
        canvas.plane_line(&frame.map, ends, rule.width, rule.ink, rule.opacity);
    }
}

/// Long things that cross a frame: cables, edges of tables and of books, window frames. All reach
/// out of the frame, so that none is a fair 一 or 十.
pub(crate) fn clutter(canvas: &mut Canvas, rng: &mut impl Rng) {
    let shade = rng.random_range(0.0..1.0f32);
    let mut tinted = || (shade + rng.random_range(0.0..0.3f32)).min(1.0);
    let ink = [shade, tinted(), tinted()];
    match rng.random_range(0..4) {
        0 => cable(canvas, ink, rng),
        1 => window(canvas, ink, rng),
        _ => edge(canvas, ink, rng),
    }
}

/// A slow wave from one side of the frame to the other.
fn cable(canvas: &mut Canvas, ink: Colour, rng: &mut impl Rng) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let (from, to) = (rng.random_range(0.0..1.0f32), rng.random_range(0.0..1.0f32));
    let (swing, waves) = (
        rng.random_range(0.0..0.25f32),
        rng.random_range(3.0..16.0f32),
    );
    let phase = rng.random_range(0.0..6.3f32);
    let upright = rng.random_bool(0.5);
    let at = |t: f32| {
        let across = from + (to - from) * t + (t * waves + phase).sin() * swing;
        if upright {
            (across * w, t * h)
        } else {
            (t * w, across * h)
        }
    };
    let width = rng.random_range(1.5..10.5);
    const PIECES: usize = 64;
    for i in 0..PIECES {
        // Pieces overlap a little, so that no gap shows at their joints.
        let t = |k: usize, more: f32| (k as f32 + more) / PIECES as f32;
        canvas.line(at(t(i, -0.6)), at(t(i + 1, 0.6)), width, ink, 1.0);
    }
}

/// A broad upright and a broad level bar.
fn window(canvas: &mut Canvas, ink: Colour, rng: &mut impl Rng) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let (x, y) = (rng.random_range(0.0..w), rng.random_range(0.0..h));
    let (lean, width) = (rng.random_range(-0.15..0.15), rng.random_range(4.0..20.0));
    let second = width * rng.random_range(0.5..1.5);
    canvas.line(
        (x - lean * h, -2.0),
        (x + lean * h, h + 2.0),
        width,
        ink,
        1.0,
    );
    canvas.line(
        (-2.0, y + lean * w),
        (w + 2.0, y - lean * w),
        second,
        ink,
        1.0,
    );
}

/// One straight line right across, at any angle.
fn edge(canvas: &mut Canvas, ink: Colour, rng: &mut impl Rng) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let (x, y) = (rng.random_range(0.0..w), rng.random_range(0.0..h));
    let (s, c) = rng.random_range(0.0..6.3f32).sin_cos();
    let far = w + h;
    let width = rng.random_range(1.0..4.0);
    canvas.line(
        (x - c * far, y - s * far),
        (x + c * far, y + s * far),
        width,
        ink,
        0.9,
    );
}

#[cfg(test)]
mod tests {
    use super::super::canvas::luma;
    use super::super::geometry::{Homography, Rect};
    use super::*;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    #[test]
    fn a_table_has_a_line_at_every_cell() {
        let frame = Frame {
            width: 100.0,
            height: 100.0,
            map: Homography::IDENTITY,
            sheet: Rect {
                left: 0.0,
                top: 0.0,
                right: 100.0,
                bottom: 100.0,
            },
            photographed: false,
        };
        let rule = Rule {
            ink: [0.0; 3],
            opacity: 1.0,
            width: 1.0,
            block: 0,
            heavy: 2.0,
        };
        let mut canvas = Canvas::new(100, 100, [1.0; 3]);
        let mut rng = Pcg64Mcg::seed_from_u64(2);
        table(
            &mut canvas,
            &frame,
            (25.0, 25.0),
            (10.5, 10.5),
            &rule,
            &mut rng,
        );
        let dark: Vec<usize> = (0..100)
            .filter(|x| luma(canvas.pixels[20 * 100 + x]) < 0.5)
            .collect();
        assert!(
            dark.iter().all(|x| x % 25 == 10) && dark.len() >= 2,
            "{dark:?}"
        );
    }

    #[test]
    fn clutter_marks_the_picture_and_stays_in_it() {
        for seed in 0..40 {
            let mut canvas = Canvas::new(64, 48, [2.0; 3]);
            clutter(&mut canvas, &mut Pcg64Mcg::seed_from_u64(seed));
            assert!(
                canvas.pixels.iter().any(|p| p[0] < 1.9),
                "seed {seed} drew nothing"
            );
        }
    }
}
