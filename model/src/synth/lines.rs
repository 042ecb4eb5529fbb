//! Printed and stray lines: tables, rulings, squares, sudoku blocks, cables and window frames.
//! They look like 一 and 十, are in almost every real scene, and are never labelled.

use super::canvas::{Canvas, Colour};
use super::layout::{Arrangement, Frame, cells};
use rand::{Rng, RngExt};

/// Draws the lines that belong to an arrangement.
pub(crate) fn draw(canvas: &mut Canvas, frame: &Frame, arrangement: &Arrangement, rng: &mut impl Rng) {
    let ink = line_colour(rng);
    match *arrangement {
        Arrangement::Table { cell, origin, block } => {
            let thin = rng.random_range(0.7..2.2f32) * canvas.width as f32 / 320.0;
            let style = Rule { ink, opacity: rng.random_range(0.45..1.0), thin, block };
            table(canvas, frame, cell, origin, &style, rng);
        }
        Arrangement::Rows { pitch, origin, upright, .. } => {
            if rng.random_bool(0.65) {
                let style = Rule {
                    ink,
                    opacity: rng.random_range(0.25..0.9),
                    thin: rng.random_range(0.6..1.5),
                    block: 0,
                };
                ruled(canvas, frame, pitch, origin, upright, &style);
            }
        }
        Arrangement::Scatter => match rng.random_range(0..10) {
            // Squared paper finer than the writing, or ruled paper that nobody keeps to.
            0..=2 => {
                let step = canvas.width as f32 * rng.random_range(0.03..0.12f32);
                let style = Rule { ink, opacity: rng.random_range(0.2..0.75), thin: rng.random_range(0.5..1.3), block: 0 };
                let across = step * rng.random_range(0.95..1.05f32);
                table(canvas, frame, (step, across), (rng.random_range(0.0..step), 0.0), &style, rng);
            }
            3..=4 => {
                let pitch = canvas.width as f32 * rng.random_range(0.05..0.2f32);
                let style = Rule { ink, opacity: rng.random_range(0.25..0.9), thin: rng.random_range(0.6..1.6), block: 0 };
                ruled(canvas, frame, pitch, (0.0, rng.random_range(0.0..pitch)), rng.random_bool(0.15), &style);
            }
            _ => {}
        },
    }
}

struct Rule {
    ink: Colour,
    opacity: f32,
    thin: f32,
    block: usize,
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

fn table(
    canvas: &mut Canvas,
    frame: &Frame,
    cell: (f32, f32),
    origin: (f32, f32),
    style: &Rule,
    rng: &mut impl Rng,
) {
    let area = frame.seen().intersection(&frame.sheet);
    let (columns, rows) = cells(area, cell, origin);
    // Some tables end within the frame, with a thicker border.
    let ends = rng.random_bool(0.35);
    let limit = |r: &std::ops::RangeInclusive<i32>, rng: &mut dyn FnMut() -> f32| {
        let span = (r.end() - r.start()) as f32;
        if ends && span > 2.0 {
            let low = *r.start() + (rng() * span * 0.3) as i32;
            (low, (low + 2).max(*r.end() + 1 - (rng() * span * 0.3) as i32))
        } else {
            (*r.start() - 1, *r.end() + 2)
        }
    };
    let mut random = || rng.random_range(0.0..1.0f32);
    let (c0, c1) = limit(&columns, &mut random);
    let (r0, r1) = limit(&rows, &mut random);
    let at = |c: i32, r: i32| (origin.0 + c as f32 * cell.0, origin.1 + r as f32 * cell.1);
    let width = |i: i32, first: i32, last: i32, thick: f32| {
        let heavy = style.block > 0 && i.rem_euclid(style.block as i32) == 0;
        let border = ends && (i == first || i == last);
        if heavy || border { style.thin * thick } else { style.thin }
    };
    let thick = 1.5 + 3.0 * random();
    for c in c0..=c1 {
        let w = width(c, c0, c1, thick);
        canvas.plane_line(&frame.map, [at(c, r0), at(c, r1)], w, style.ink, style.opacity);
    }
    for r in r0..=r1 {
        let w = width(r, r0, r1, thick);
        canvas.plane_line(&frame.map, [at(c0, r), at(c1, r)], w, style.ink, style.opacity);
    }
}

fn ruled(
    canvas: &mut Canvas,
    frame: &Frame,
    pitch: f32,
    origin: (f32, f32),
    upright: bool,
    style: &Rule,
) {
    let area = frame.seen().intersection(&frame.sheet);
    let pitch = pitch.max(6.0);
    let (columns, rows) = cells(area, (pitch, pitch), origin);
    let (range, low, high) = if upright {
        (columns, (0.0, area.top), (0.0, area.bottom))
    } else {
        (rows, (area.left, 0.0), (area.right, 0.0))
    };
    for i in range {
        let (dx, dy) = if upright {
            (origin.0 + i as f32 * pitch, 0.0)
        } else {
            (0.0, origin.1 + i as f32 * pitch)
        };
        let ends = [(low.0 + dx, low.1 + dy), (high.0 + dx, high.1 + dy)];
        canvas.plane_line(&frame.map, ends, style.thin, style.ink, style.opacity);
    }
}

/// Long things that cross a frame: cables, edges of tables and of books, window frames. All reach
/// well beyond a numeral or out of the frame, so that none is a fair 一 or 十.
pub(crate) fn clutter(canvas: &mut Canvas, rng: &mut impl Rng) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let colour = |rng: &mut dyn FnMut() -> f32| {
        let base = rng();
        [base, (base + rng() * 0.3).min(1.0), (base + rng() * 0.3).min(1.0)]
    };
    let mut random = || rng.random_range(0.0..1.0f32);
    match (random() * 4.0) as u32 {
        0 => {
            // A cable: a slow wave from edge to edge.
            let (ink, width) = (colour(&mut random), 1.5 + 9.0 * random());
            let (a, b) = ((0.0, random() * h), (w, random() * h));
            let (swing, waves, phase) = (random() * h * 0.25, 0.5 + 2.0 * random(), 6.3 * random());
            let at = |t: f32| {
                let bend = (t * waves * 6.3 + phase).sin() * swing;
                (a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t + bend)
            };
            let turned = random() < 0.5;
            let at = |t: f32| {
                let (x, y) = at(t);
                if turned { (y * w / h, x * h / w) } else { (x, y) }
            };
            for i in 0..64 {
                canvas.line(at(i as f32 / 64.0 - 0.01), at((i + 1) as f32 / 64.0 + 0.01), width, ink, 1.0);
            }
        }
        1 => {
            // A window or door frame: two or three broad bars right across.
            let (ink, width) = (colour(&mut random), 4.0 + 16.0 * random());
            let (x, y, lean) = (random() * w, random() * h, (random() - 0.5) * 0.3);
            canvas.line((x - lean * h, -2.0), (x + lean * h, h + 2.0), width, ink, 1.0);
            canvas.line((-2.0, y + lean * w), (w + 2.0, y - lean * w), width * (0.5 + random()), ink, 1.0);
        }
        _ => {
            // An edge: everything beyond a line is another surface's shade.
            let ink = colour(&mut random);
            let (x, y, angle) = (random() * w, random() * h, random() * 6.3);
            let (s, c) = angle.sin_cos();
            let far = w + h;
            let width = 1.0 + 3.0 * random();
            canvas.line((x - c * far, y - s * far), (x + c * far, y + s * far), width, ink, 0.9);
        }
    }
}
