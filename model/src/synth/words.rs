//! Handwritten words: lines of them, mostly few and far apart. Small separate words on a sheet tempt a network more
//! than anything else; they are ground, never labelled.

use super::geometry::Rect;
use super::hand::Hand;
use super::layout::{Slot, log_uniform};
use super::scene::Page;
use rand::{Rng, RngExt};

/// Height of a capital letter, as a share of the frame's width.
const HEIGHT: (f32, f32) = (0.014, 0.11);
/// More words than this are not written in one picture.
const MOST: usize = 60;

/// Writes lines of words in one hand where there is room on the page.
pub(super) fn write(page: &mut Page<'_>, rng: &mut impl Rng) {
    let hand = Hand::draw(page.material, rng);
    let height = page.frame.width * log_uniform(HEIGHT.0, HEIGHT.1, rng);
    let pitch = height * rng.random_range(1.6..4.5f32);
    let gap = height * log_uniform(0.5, 6.0, rng);
    let kept = rng.random_range(0.15..1.0);
    let area = page.frame.seen().intersection(&page.frame.sheet);
    let (mut y, mut written) = (area.top + rng.random_range(0.0..pitch), 0);
    while y < area.bottom && written < MOST {
        let mut x = area.left + rng.random_range(-1.0..2.0f32) * height;
        while x < area.right && written < MOST {
            let index = rng.random_range(0..page.library.words.len());
            let length = page.library.words[index].length * height;
            if rng.random_bool(kept) {
                let slot = Slot {
                    x: x + length / 2.0,
                    y: y + rng.random_range(-0.15..0.15f32) * height,
                    size: length,
                    row: 0,
                };
                put(page, index, &hand, &slot, height, rng);
                written += 1;
            }
            x += length + gap * rng.random_range(0.6..1.6f32);
        }
        y += pitch;
    }
}

fn put(
    page: &mut Page<'_>,
    index: usize,
    hand: &Hand,
    slot: &Slot,
    height: f32,
    rng: &mut impl Rng,
) {
    let mut glyph = page.library.words[index].glyph.clone();
    if rng.random_bool(0.5) {
        glyph = glyph.warped(rng);
    }
    let map = page.frame.map.after(hand.at(slot, rng));
    let size = map.scale_at(0.0, 0.0);
    let line = hand.line(height) * size / slot.size.max(1.0);
    let inking = hand.inking(&glyph, None, line, size, rng);
    let Some(placed) = glyph.place(&map, inking, rng) else {
        return;
    };
    let (width, tall) = (page.canvas.width, page.canvas.height);
    let Some((rect, _)) = placed.ink_box(width, tall) else {
        return;
    };
    let near = |t: &Rect| t.intersection(&rect.grown(1.0 + 0.1 * height)).area() > 0.0;
    if page.taken.iter().any(near) || !page.on_sheet(&rect) {
        return;
    }
    page.canvas.ink(
        &placed.mask,
        placed.left,
        placed.top,
        hand.ink,
        hand.opacity,
    );
}
