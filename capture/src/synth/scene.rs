//! One frame of the synthetic scene, as a function of seed and frame number alone.
//!
//! The picture is divided into cells, one per numeral, so that numerals never overlap. In its cell each drifts on a
//! Lissajous curve and swings to and fro; every few seconds another class, in another hand, takes its place.

use hanja_handwriting::{Mask, Paper, Pen, Ruling, Style, fit, numeral, rasterize};
use hanja_record::Detection;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::f32::consts::TAU;

/// Frames that one numeral stays: five seconds at 30 fps.
const LIFE: u64 = 150;
/// Largest side of a cell that numerals are scaled to, pixels: on a desk the writing is small beside the sheet.
const LARGEST: f32 = 190.0;
/// Side of the noise tile, a power of two.
const TILE: usize = 256;
/// Least coverage of a pixel that belongs to the box.
const INK: u8 = 96;

#[derive(Debug)]
pub(super) struct Scene {
    width: usize,
    height: usize,
    seed: u64,
    paper: Vec<u8>,
    noise: Vec<i8>,
    cells: Vec<Cell>,
}

/// Where one numeral lives, and the one that lives there now.
#[derive(Debug)]
struct Cell {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
    glyph: Option<(u64, Glyph)>,
}

#[derive(Debug)]
struct Glyph {
    class: u16,
    mask: Mask,
    darkness: u16,
    /// Side of the square the glyph is drawn in, in pixels.
    size: f32,
    phase: [f32; 3],
    speed: [f32; 3],
}

impl Scene {
    pub(super) fn new(width: usize, height: usize, seed: u64, glyphs: usize) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut paper = Paper::random(&mut rng);
        // The default scene is a plain sheet: lines are for the training set.
        paper.ruling = Ruling::None;
        let noise = (0..TILE * TILE)
            .map(|_| rng.random_range(-3i8..=3))
            .collect();
        let columns = ((glyphs as f64 * width as f64 / height as f64).sqrt().ceil() as usize)
            .clamp(1, glyphs.max(1));
        let rows = glyphs.div_ceil(columns).max(1);
        let (cell_w, cell_h) = (width as f32 / columns as f32, height as f32 / rows as f32);
        let cell = |i: usize| Cell {
            left: (i % columns) as f32 * cell_w,
            top: (i / columns) as f32 * cell_h,
            width: cell_w,
            height: cell_h,
            glyph: None,
        };
        Self {
            width,
            height,
            seed,
            paper: paper.render(width, height),
            noise,
            cells: (0..glyphs).map(cell).collect(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// Draws frame number `frame` into `out` (8-bit luma) and writes into `truth` what stands where.
    pub(super) fn draw(&mut self, frame: u64, out: &mut Vec<u8>, truth: &mut Vec<Detection>) {
        out.clear();
        out.extend_from_slice(&self.paper);
        truth.clear();
        for (index, cell) in self.cells.iter_mut().enumerate() {
            // Cells change at different times, so that the picture is never all new at once.
            let shifted = frame + index as u64 * 47;
            let life = shifted / LIFE;
            let size = cell.width.min(cell.height).min(LARGEST);
            let glyph = match cell.glyph.take().filter(|(l, _)| *l == life) {
                Some((_, glyph)) => glyph,
                None => Glyph::write(self.seed, index as u64, life, size),
            };
            let found = glyph.blend(cell, shifted as f32, (self.width, self.height), out);
            truth.extend(found);
            cell.glyph = Some((life, glyph));
        }
        self.add_noise(frame, out);
    }

    /// A tile of noise, laid differently in every frame.
    fn add_noise(&self, frame: u64, out: &mut [u8]) {
        let shift = frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let (dx, dy) = (shift as usize % TILE, (shift >> 8) as usize % TILE);
        for (y, line) in out.chunks_mut(self.width).enumerate() {
            let row = &self.noise[(y + dy) % TILE * TILE..][..TILE];
            let (first, second) = row.split_at(dx);
            // In blocks of the tile's width, so that the inner loops have no wrap in them and vectorise.
            for block in line.chunks_mut(TILE) {
                let (head, tail) = block.split_at_mut(block.len().min(second.len()));
                for (p, n) in head.iter_mut().zip(second) {
                    *p = p.saturating_add_signed(*n);
                }
                for (p, n) in tail.iter_mut().zip(first) {
                    *p = p.saturating_add_signed(*n);
                }
            }
        }
    }
}

impl Glyph {
    /// A numeral in a new hand: a function of its arguments alone.
    fn write(seed: u64, cell: u64, life: u64, most: f32) -> Self {
        let mix = seed ^ (cell << 32) ^ (life << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = Pcg64Mcg::seed_from_u64(mix);
        // All classes in rotation: none is left out for long by chance.
        let class = ((life * 7 + cell * 3 + seed % 10) % 10) as u16;
        let style = if rng.random_bool(0.7) {
            Style::Regular
        } else {
            Style::SemiCursive
        };
        let size = most * rng.random_range(0.5..0.62);
        let side = size.ceil() as usize + 8;
        let strokes = fit(
            &numeral(usize::from(class), style, &mut rng),
            4.0,
            4.0,
            size,
        );
        let pen = Pen::new((size * rng.random_range(0.035..0.06)).max(2.0));
        let mask = rasterize(&strokes, &pen, side, side, &mut rng);
        let mut random = |range: std::ops::Range<f32>| rng.random_range(range);
        Self {
            class,
            mask,
            darkness: random(175.0..225.0) as u16,
            size: side as f32,
            phase: [random(0.0..TAU), random(0.0..TAU), random(0.0..TAU)],
            speed: [
                random(0.010..0.025),
                random(0.010..0.025),
                random(0.01..0.03),
            ],
        }
    }

    /// Blends the glyph in at its place for `time` (in frames); returns the box of its ink.
    fn blend(
        &self,
        cell: &Cell,
        time: f32,
        (width, height): (usize, usize),
        out: &mut [u8],
    ) -> Option<Detection> {
        let wave = |i: usize| (self.phase[i] + self.speed[i] * time).sin();
        let angle = 0.14 * wave(2);
        let (sin, cos) = angle.sin_cos();
        let half = self.size / 2.0;
        let reach = half * (cos.abs() + sin.abs());
        let room = |span: f32| (span / 2.0 - reach - 1.0).max(0.0);
        let cx = cell.left + cell.width / 2.0 + room(cell.width) * wave(0);
        let cy = cell.top + cell.height / 2.0 + room(cell.height) * wave(1);
        let range = |c: f32, end: usize| {
            let from = (c - reach).floor().max(0.0) as usize;
            from..((c + reach).ceil().max(0.0) as usize).min(end)
        };
        let columns = range(cx, width);
        let mut ink: Option<(usize, usize, usize, usize)> = None;
        for y in range(cy, height) {
            for x in columns.clone() {
                // Pixel centre, turned back into the mask.
                let (dx, dy) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
                let (u, v) = (cos * dx + sin * dy + half, cos * dy - sin * dx + half);
                let coverage = bilinear(&self.mask, u - 0.5, v - 0.5);
                if coverage == 0 {
                    continue;
                }
                let pixel = &mut out[y * width + x];
                let ink_level = u16::from(*pixel).saturating_sub(self.darkness);
                let c = u16::from(coverage);
                *pixel = ((u16::from(*pixel) * (255 - c) + ink_level * c) / 255) as u8;
                if coverage >= INK {
                    let b = ink.get_or_insert((x, y, x, y));
                    *b = (b.0.min(x), b.1.min(y), b.2.max(x), b.3.max(y));
                }
            }
        }
        ink.map(|(x1, y1, x2, y2)| Detection {
            x1: x1 as f32,
            y1: y1 as f32,
            x2: (x2 + 1) as f32,
            y2: (y2 + 1) as f32,
            score: 1.0,
            class: self.class,
            ..Detection::default()
        })
    }
}

/// Coverage between four pixels; nothing outside.
fn bilinear(mask: &Mask, x: f32, y: f32) -> u8 {
    let (w, h) = (mask.width(), mask.height());
    if x < 0.0 || y < 0.0 {
        return 0;
    }
    let (x0, y0) = (x as usize, y as usize);
    if x0 + 1 >= w || y0 + 1 >= h {
        return 0;
    }
    let data = mask.data();
    let (fx, fy) = (
        (256.0 * (x - x0 as f32)) as u32,
        (256.0 * (y - y0 as f32)) as u32,
    );
    let row = |y: usize| {
        let at = y * w + x0;
        u32::from(data[at]) * (256 - fx) + u32::from(data[at + 1]) * fx
    };
    ((row(y0) * (256 - fy) + row(y0 + 1) * fy) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_depends_on_seed_and_number_alone() {
        let (mut a, mut b) = (Scene::new(320, 240, 5, 3), Scene::new(320, 240, 5, 3));
        let (mut pa, mut pb, mut ta, mut tb) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for frame in 0..40 {
            a.draw(frame * 10, &mut pa, &mut ta);
        }
        b.draw(390, &mut pb, &mut tb); // straight there
        assert_eq!((pa, ta.clone()), (pb.clone(), tb));
        let mut other = Scene::new(320, 240, 6, 3);
        other.draw(390, &mut pb, &mut ta);
        let mut again = Vec::new();
        a.draw(390, &mut again, &mut ta);
        assert_ne!(again, pb);
    }

    #[test]
    fn the_truth_is_where_the_ink_is() {
        let mut scene = Scene::new(640, 480, 3, 4);
        let (mut picture, mut truth) = (Vec::new(), Vec::new());
        for frame in [0, 77, 160, 333] {
            scene.draw(frame, &mut picture, &mut truth);
            assert_eq!(truth.len(), 4);
            let dark = |x: usize, y: usize| {
                i32::from(scene.paper[y * 640 + x]) - i32::from(picture[y * 640 + x]) > 92
            };
            let inside = |x: f32, y: f32| {
                truth
                    .iter()
                    .any(|t| x >= t.x1 && x < t.x2 && y >= t.y1 && y < t.y2)
            };
            for y in 0..480 {
                for x in 0..640 {
                    assert!(
                        !dark(x, y) || inside(x as f32, y as f32),
                        "ink outside at {x},{y} in {frame}"
                    );
                }
            }
            for t in &truth {
                let columns = t.x1 as usize..t.x2 as usize;
                let any = |y: f32| {
                    columns.clone().any(|x| {
                        i32::from(scene.paper[y as usize * 640 + x])
                            - i32::from(picture[y as usize * 640 + x])
                            > 40
                    })
                };
                assert!(any(t.y1) && any(t.y2 - 1.0), "loose box {t:?}");
            }
        }
    }

    #[test]
    fn all_ten_classes_appear() {
        let mut scene = Scene::new(320, 240, 1, 3);
        let (mut picture, mut truth, mut seen) = (Vec::new(), Vec::new(), [false; 10]);
        for life in 0..10 {
            scene.draw(life * LIFE, &mut picture, &mut truth);
            truth.iter().for_each(|t| seen[usize::from(t.class)] = true);
        }
        assert_eq!(seen, [true; 10]);
    }

    #[test]
    fn no_glyphs_is_plain_paper() {
        let mut scene = Scene::new(64, 64, 1, 0);
        let (mut picture, mut truth) = (Vec::new(), Vec::new());
        scene.draw(0, &mut picture, &mut truth);
        assert!(truth.is_empty() && picture.len() == 64 * 64);
    }
}
