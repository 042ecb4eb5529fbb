//! Boxes and labels, burnt in. The browser draws its own, sharper ones; these are for pictures that leave the page.

use super::canvas::{Canvas, Colour};
use super::glyphs::{self, Glyph};
use hanja_common::record::Detection;

/// The page's vermilion, #d9381e, as full-range Y'CbCr.
const BOX: Colour = [101, 88, 211];
const TEXT: Colour = [255, 128, 128];

/// Draws the strongest last, so that it stays readable where boxes meet.
pub(super) fn detections(canvas: &mut Canvas, detections: &[Detection]) {
    let mut order: Vec<&Detection> = detections.iter().collect();
    order.sort_by(|a, b| a.score.total_cmp(&b.score));
    // Glyphs are 16 pixels high: right for 480 lines.
    let scale = (canvas.size().1 as i64 / 400).clamp(1, 8);
    for d in order {
        outline(canvas, d, 2 * scale);
        label(canvas, d, scale);
    }
}

/// A box's edges in whole pixels. The casts saturate and turn NaN to 0, so no box can be harmful.
fn edges(d: &Detection) -> [i64; 4] {
    [d.x1, d.y1, d.x2, d.y2].map(|v| i64::from(v.round() as i32))
}

fn outline(canvas: &mut Canvas, d: &Detection, thick: i64) {
    let [x1, y1, x2, y2] = edges(d);
    canvas.fill((x1, x2), (y1, y1 + thick), BOX);
    canvas.fill((x1, x2), (y2 - thick, y2), BOX);
    canvas.fill((x1, x1 + thick), (y1, y2), BOX);
    canvas.fill((x2 - thick, x2), (y1, y2), BOX);
}

/// Numeral (or # and class number) and score, above the box, or inside it where there is no room above.
fn label(canvas: &mut Canvas, d: &Detection, scale: i64) {
    let text = glyphs::label(d.class, d.score);
    let advance = |g: &Glyph| (g.width() + 1) * scale;
    let width = text.iter().map(advance).sum::<i64>() + 3 * scale;
    let height = (glyphs::HEIGHT + 4) * scale;
    let [x1, y1, ..] = edges(d);
    let top = if y1 >= height { y1 - height } else { y1.max(0) };
    let left = x1.min(canvas.size().0 as i64 - width).max(0);
    canvas.fill((left, left + width), (top, top + height), BOX);
    let mut x = left + 2 * scale;
    for glyph in &text {
        for (gx, gy) in glyph.pixels() {
            let (px, py) = (x + gx * scale, top + (gy + 2) * scale);
            canvas.fill((px, px + scale), (py, py + scale), TEXT);
        }
        x += advance(glyph);
    }
}
