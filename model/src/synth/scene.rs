//! One picture of the default preset: ground, lines, writing, light; and its labels, taken from
//! the ink in the final pixels.

use super::canvas::{Canvas, luma};
use super::effects::Spread;
use super::geometry::{Homography, Rect};
use super::glyph::Placed;
use super::ground::{self, Material};
use super::hand::{Hand, Others, numeral_glyph, other_glyph};
use super::layout::{Arrangement, Frame, Slot};
use super::library::Library;
use super::{effects, lines, words};
use hanja_handwriting::CLASSES;
use rand::{Rng, RngExt};

/// A labelled box: class 0..=9 and the ink's box in pixels.
pub(crate) type Label = (usize, Rect);

/// A finished picture, before compression.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) canvas: Canvas,
    pub(crate) labels: Vec<Label>,
    /// Boxes of characters that are no numeral.
    pub(crate) others: Vec<Rect>,
}

/// A glyph of which less is seen is not drawn at all, unless only a trace of it is: half a 王 is
/// as good a 二 as any.
const VISIBLE: f32 = 0.75;
/// The same for 二, 三, 五 and 七, which become another numeral by losing one stroke.
const VISIBLE_STRICT: f32 = 0.9;
const TRACE: f32 = 0.1;
/// Smallest longer side of a labelled glyph, in pixels and as a share of the picture's side.
const SMALLEST: (f32, f32) = (11.0, 0.036);
/// Share of glyphs whose shape is bent into another hand's.
const WARPED: f64 = 0.5;
/// Share of glyphs with hooks at the ends of their strokes.
const HOOKED: f64 = 0.25;
/// More glyphs than this are not placed in one picture.
const MOST: usize = 32;

/// Draws a picture of `size` x `size` pixels. With `negative` it has no numeral.
pub(crate) fn draw(library: &Library, size: usize, negative: bool, rng: &mut impl Rng) -> Picture {
    // Cameras are rarely square; the product letterboxes their frames, so some of these are.
    let (width, height) = match rng.random_range(0..20) {
        0..=9 => (size, size),
        10..=16 => (size, size * 3 / 4),
        17 => (size, size * 9 / 16),
        _ => (size * 3 / 4, size),
    };
    let canvas = Canvas::new(width, height, [0.5; 3]);
    let picture = if negative && !library.photos.is_empty() && rng.random_bool(0.4) {
        everyday_photo(library, canvas, rng)
    } else {
        written_page(library, canvas, negative, rng)
    };
    letterbox(picture, size)
}

/// A photograph of anything, with nothing written on it.
fn everyday_photo(library: &Library, mut canvas: Canvas, rng: &mut impl Rng) -> Picture {
    ground::photo(&mut canvas, &library.photos, rng);
    if rng.random_bool(0.3) {
        lines::clutter(&mut canvas, rng);
    }
    effects::expose(&mut canvas, true, 40.0, rng);
    Picture {
        canvas,
        labels: Vec::new(),
        others: Vec::new(),
    }
}

fn written_page(
    library: &Library,
    mut canvas: Canvas,
    negative: bool,
    rng: &mut impl Rng,
) -> Picture {
    let material = Material::draw(rng, !library.photos.is_empty());
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let frame = Frame::draw(width, height, material == Material::Sheet, rng);
    ground::paint(&mut canvas, material, &frame, &library.photos, rng);
    let arrangement = Arrangement::draw(&frame, rng);
    if material != Material::Photo || rng.random_bool(0.2) {
        lines::draw(&mut canvas, &frame, &arrangement, rng);
    }
    if rng.random_bool(0.06) {
        lines::clutter(&mut canvas, rng);
    }
    let mut page = Page {
        canvas,
        frame,
        material,
        library,
        labels: Vec::new(),
        others: Vec::new(),
        taken: Vec::new(),
    };
    // Some pages are empty, and some hold nothing but words.
    let text = !library.words.is_empty() && rng.random_bool(if negative { 0.5 } else { 0.15 });
    if !(negative && rng.random_bool(if text { 0.7 } else { 0.3 })) {
        page.write(&arrangement, negative, rng);
    }
    if text {
        words::write(&mut page, rng);
    }
    let smallest = page
        .taken
        .iter()
        .map(|r| r.width().max(r.height()))
        .fold(60.0, f32::min);
    let spread = effects::expose(&mut page.canvas, page.frame.photographed, smallest, rng);
    page.finish(spread)
}

/// A picture that is being written on.
pub(super) struct Page<'a> {
    pub(super) canvas: Canvas,
    pub(super) frame: Frame,
    pub(super) material: Material,
    pub(super) library: &'a Library,
    labels: Vec<Label>,
    others: Vec<Rect>,
    /// Boxes of all ink so far.
    pub(super) taken: Vec<Rect>,
}

/// How one row or the whole picture is written.
struct Habit {
    hand: Hand,
    others: Others,
    other_share: f64,
}

impl Page<'_> {
    fn write(&mut self, arrangement: &Arrangement, negative: bool, rng: &mut impl Rng) {
        let slots = arrangement.slots(&self.frame, rng);
        let scatter = matches!(arrangement, Arrangement::Scatter);
        let target = if scatter {
            slots.len().div_ceil(2)
        } else {
            MOST
        };
        let fill = if scatter {
            1.0
        } else {
            rng.random_range(0.35..1.0)
        };
        let fill = f64::min(fill, MOST as f64 * 1.6 / slots.len().max(1) as f64);
        // One writer a row, as on a collecting sheet, or one for all.
        let by_row = !scatter && rng.random_bool(0.35);
        let (mut habit, mut row) = (self.habit(negative, rng), usize::MAX);
        let mean = slots.iter().map(|s| s.size).sum::<f32>() / slots.len().max(1) as f32;
        for slot in &slots {
            if by_row && slot.row != row {
                row = slot.row;
                habit.hand = Hand::draw(self.material, rng);
            }
            if self.taken.len() >= target || !rng.random_bool(fill.clamp(0.0, 1.0)) {
                continue;
            }
            let line = habit.hand.line(mean.min(slot.size * 1.3));
            self.put(slot, &habit, line, rng);
        }
    }

    fn habit(&self, negative: bool, rng: &mut impl Rng) -> Habit {
        let others = match rng.random_range(0..10) {
            0..=2 => Others::Digits,
            3..=6 => Others::Mixed,
            _ => Others::LookAlikes,
        };
        let other_share = match rng.random_range(0..20) {
            _ if negative => 1.0,
            0..=8 => 0.0,
            9..=15 => rng.random_range(0.08..0.4),
            _ => rng.random_range(0.4..0.75),
        };
        Habit {
            hand: Hand::draw(self.material, rng),
            others,
            other_share,
        }
    }

    /// Writes one glyph in `slot`, if there is room and it can be read there.
    fn put(&mut self, slot: &Slot, habit: &Habit, line: f32, rng: &mut impl Rng) {
        let class = (!rng.random_bool(habit.other_share)).then(|| rng.random_range(0..CLASSES));
        let found = match class {
            Some(class) => numeral_glyph(self.library, class, rng),
            None => other_glyph(self.library, habit.others, rng).cloned(),
        };
        let Some(mut glyph) = found else {
            return;
        };
        if rng.random_bool(WARPED) {
            glyph = glyph.warped(rng);
        }
        if rng.random_bool(HOOKED) {
            glyph = glyph.hooked(rng);
        }
        let map = self.frame.map.after(habit.hand.at(slot, rng));
        let size = map.scale_at(0.0, 0.0);
        let inking = habit
            .hand
            .inking(&glyph, class, line * size / slot.size.max(1.0), size, rng);
        let Some(placed) = glyph.place(&map, inking, rng) else {
            return;
        };
        self.commit(&placed, class, &habit.hand, size);
    }

    fn commit(&mut self, placed: &Placed, class: Option<usize>, hand: &Hand, size: f32) {
        let Some((rect, visible)) = placed.ink_box(self.canvas.width, self.canvas.height) else {
            return;
        };
        let needed = if matches!(class, Some(1 | 2 | 4 | 6)) {
            VISIBLE_STRICT
        } else {
            VISIBLE
        };
        let long = rect.width().max(rect.height());
        let side = self.canvas.width.max(self.canvas.height) as f32;
        let large_enough = long >= SMALLEST.0.max(SMALLEST.1 * side);
        let readable = visible >= needed && (large_enough || class.is_none());
        if !readable && visible > TRACE {
            return;
        }
        // Close together, 一 over 二 reads as 三: a tenth of their size stays free between glyphs.
        let crowded = |t: &Rect| {
            let gap = 1.0 + 0.1 * long.min(t.width().max(t.height()));
            t.intersection(&rect.grown(gap)).area() > 0.04 * t.area().min(rect.area())
        };
        if self.taken.iter().any(crowded) || !self.on_sheet(&rect) || !self.shows(&rect, hand, size)
        {
            return;
        }
        self.canvas.ink(
            &placed.mask,
            placed.left,
            placed.top,
            hand.ink,
            hand.opacity,
        );
        self.taken.push(rect);
        if visible >= needed && large_enough {
            match class {
                Some(class) => self.labels.push((class, rect)),
                None => self.others.push(rect),
            }
        }
    }

    /// The labels enclose all ink that can be seen, the soft edge included.
    fn finish(self, spread: Spread) -> Picture {
        let (x, y) = spread.reach();
        let whole = Rect {
            left: 0.0,
            top: 0.0,
            right: self.canvas.width as f32,
            bottom: self.canvas.height as f32,
        };
        let seen = |r: Rect| {
            let soft = Rect {
                left: r.left - x,
                top: r.top - y,
                right: r.right + x,
                bottom: r.bottom + y,
            };
            soft.intersection(&whole)
        };
        Picture {
            labels: self.labels.iter().map(|&(c, r)| (c, seen(r))).collect(),
            others: self.others.into_iter().map(seen).collect(),
            canvas: self.canvas,
        }
    }

    pub(super) fn on_sheet(&self, rect: &Rect) -> bool {
        if self.material != Material::Sheet {
            return true;
        }
        let back = self.frame.map.inverse();
        let sheet = self.frame.sheet;
        let corners = [
            (rect.left, rect.top),
            (rect.right, rect.top),
            (rect.left, rect.bottom),
            (rect.right, rect.bottom),
        ];
        corners.iter().all(|&(x, y)| {
            let (u, v) = back.apply(x, y);
            u > sheet.left && u < sheet.right && v > sheet.top && v < sheet.bottom
        })
    }

    /// Whether ink of this hand stands out from the ground in the middle and at the corners.
    fn shows(&self, rect: &Rect, hand: &Hand, size: f32) -> bool {
        let ink = luma(hand.ink);
        let (cx, cy) = (
            (rect.left + rect.right) / 2.0,
            (rect.top + rect.bottom) / 2.0,
        );
        let step = size * 0.25;
        // A photograph is busy: ink must stand out more to be read.
        let least = if self.material == Material::Photo {
            0.33
        } else {
            0.17
        };
        let spots = [
            (0.0, 0.0),
            (-step, -step),
            (step, -step),
            (-step, step),
            (step, step),
        ];
        let clear = |&&(dx, dy): &&(f32, f32)| {
            let ground = luma(self.canvas.sample(cx + dx, cy + dy));
            (ground - ink).abs() * hand.opacity > least
        };
        // Lines and writing may pass below some of them.
        spots.iter().filter(clear).count() >= 4
    }
}

/// Puts a picture that is not square in the middle of a square of grey, as the product does before
/// the network, so that the network knows the bars.
fn letterbox(picture: Picture, size: usize) -> Picture {
    let (width, height) = (picture.canvas.width, picture.canvas.height);
    if (width, height) == (size, size) {
        return picture;
    }
    let (left, top) = ((size - width) / 2, (size - height) / 2);
    let mut canvas = Canvas::new(size, size, [114.0 / 255.0; 3]);
    for y in 0..height {
        let to = (y + top) * size + left;
        canvas.pixels[to..to + width]
            .copy_from_slice(&picture.canvas.pixels[y * width..(y + 1) * width]);
    }
    let (dx, dy) = (left as f32, top as f32);
    let moved = |r: Rect| Rect {
        left: r.left + dx,
        top: r.top + dy,
        right: r.right + dx,
        bottom: r.bottom + dy,
    };
    let labels = picture.labels.into_iter();
    Picture {
        canvas,
        labels: labels.map(|(class, rect)| (class, moved(rect))).collect(),
        others: picture.others.into_iter().map(moved).collect(),
    }
}

/// The original's recipe: white ground, one to three numerals anywhere at any size, shading.
pub(crate) fn draw_classic(
    library: &Library,
    size: usize,
    negative: bool,
    rng: &mut impl Rng,
) -> Picture {
    let side = size as f32;
    let mut canvas = Canvas::new(size, size, [rng.random_range(0.88..1.0); 3]);
    let frame = Frame {
        width: side,
        height: side,
        map: Homography::IDENTITY,
        sheet: Rect {
            left: 0.0,
            top: 0.0,
            right: side,
            bottom: side,
        },
        photographed: true,
    };
    let (dx, dy) = (rng.random_range(-0.25..0.25), rng.random_range(-0.25..0.25));
    canvas.paint(|x, y, c| c.map(|v| v * (1.0 + (x / side - 0.5) * dx + (y / side - 0.5) * dy)));
    let mut page = Page {
        canvas,
        frame,
        material: Material::Paper,
        library,
        labels: Vec::new(),
        others: Vec::new(),
        taken: Vec::new(),
    };
    if !negative {
        let mut habit = page.habit(false, rng);
        habit.other_share = 0.0;
        habit.hand.ink = [rng.random_range(0.0..0.25); 3];
        habit.hand.opacity = 1.0;
        for _ in 0..rng.random_range(1..4) {
            let length = side * rng.random_range(0.12..0.6f32);
            let mut place = || rng.random_range(length / 2.0..side - length / 2.0);
            let slot = Slot {
                x: place(),
                y: place(),
                size: length * 0.95,
                row: 0,
            };
            let line = habit.hand.line(length);
            page.put(&slot, &habit, line, rng);
        }
    }
    page.finish(Spread::SHARP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    #[test]
    fn boxes_lie_in_the_picture_and_apart() {
        let library = Library::default();
        for seed in 0..60 {
            let picture = draw(&library, 160, false, &mut Pcg64Mcg::seed_from_u64(seed));
            assert_eq!((picture.canvas.width, picture.canvas.height), (160, 160));
            for (i, (class, a)) in picture.labels.iter().enumerate() {
                assert!(*class < CLASSES);
                assert!(a.left >= 0.0 && a.top >= 0.0 && a.right <= 160.0 && a.bottom <= 160.0);
                assert!(a.width().max(a.height()) >= SMALLEST.0, "{a:?}");
                for (_, b) in &picture.labels[..i] {
                    assert!(a.intersection(b).area() <= 0.05 * a.area().min(b.area()));
                }
            }
        }
    }

    #[test]
    fn negatives_have_no_labels() {
        let library = Library::default();
        for seed in 0..20 {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            assert!(draw(&library, 96, true, &mut rng).labels.is_empty());
            assert!(draw_classic(&library, 96, true, &mut rng).labels.is_empty());
        }
    }

    #[test]
    fn labelled_ink_is_darker_or_lighter_than_its_surroundings() {
        // Over many pictures the mean contrast inside boxes must exceed that of the whole picture.
        let library = Library::default();
        let (mut inside, mut outside, mut boxes) = (0.0, 0.0, 0);
        for seed in 0..40 {
            let picture = draw(&library, 160, false, &mut Pcg64Mcg::seed_from_u64(seed));
            let spread = |r: &Rect| {
                let at = |x: usize, y: usize| luma(picture.canvas.pixels[y * 160 + x]);
                let columns = r.left as usize..(r.right as usize).min(160);
                let rows = r.top as usize..(r.bottom as usize).min(160);
                let levels = rows.flat_map(|y| columns.clone().map(move |x| at(x, y)));
                let (low, high) =
                    levels.fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(v), h.max(v)));
                high - low
            };
            for (_, rect) in &picture.labels {
                inside += spread(rect);
                // The same box elsewhere, where no label is.
                let away = Rect {
                    left: rect.left,
                    right: rect.right,
                    top: 160.0 - rect.bottom,
                    bottom: 160.0 - rect.top,
                };
                outside += spread(&away);
                boxes += 1;
            }
        }
        assert!(boxes > 100, "{boxes} boxes");
        assert!(inside > 1.3 * outside, "{inside} inside, {outside} outside");
    }

    #[test]
    fn letterboxing_moves_labels_with_the_picture() {
        let rect = Rect {
            left: 1.0,
            top: 2.0,
            right: 11.0,
            bottom: 12.0,
        };
        let picture = Picture {
            canvas: Canvas::new(40, 30, [1.0; 3]),
            labels: vec![(4, rect)],
            others: vec![rect],
        };
        let boxed = letterbox(picture, 40);
        let lower = Rect {
            top: 7.0,
            bottom: 17.0,
            ..rect
        };
        assert_eq!((boxed.labels[0].1, boxed.others[0]), (lower, lower));
        assert_eq!(boxed.canvas.pixels[5 * 40], [1.0; 3]);
        assert_ne!(boxed.canvas.pixels[4 * 40], [1.0; 3]);
    }
}
