//! What is written on: sheets, boards, cards and photographs, before any line or ink. Colours are
//! those of the material; light comes later ([`super::effects`]), for ink and ground alike.

use super::canvas::{Canvas, Colour, blend};
use super::layout::Frame;
use hanja_handwriting::{hash01, value_noise};
use rand::{Rng, RngExt};

/// The material, which decides which pens are likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    /// Paper lying on nothing in particular: it fills the frame.
    Paper,
    /// A sheet of paper on a desk or in a photograph: ink stays within the sheet.
    Sheet,
    /// A white board.
    WhiteBoard,
    /// A black or green board, written on with chalk.
    BlackBoard,
    /// Any photograph, written over.
    Photo,
}

impl Material {
    pub(crate) fn draw(rng: &mut impl Rng, with_photos: bool) -> Self {
        match rng.random_range(0.0..1.0f32) {
            p if p < 0.62 => Self::Paper,
            p if p < 0.80 && with_photos => Self::Sheet,
            p if p < 0.87 => Self::WhiteBoard,
            p if p < 0.91 => Self::BlackBoard,
            _ if with_photos => Self::Photo,
            _ => Self::Paper,
        }
    }
}

/// Paints the ground of a whole picture.
pub(crate) fn paint(
    canvas: &mut Canvas,
    material: Material,
    frame: &Frame,
    photos: &[Canvas],
    rng: &mut impl Rng,
) {
    match material {
        Material::Paper => paper(canvas, frame.photographed, rng),
        Material::WhiteBoard => white_board(canvas, rng),
        Material::BlackBoard => black_board(canvas, rng),
        Material::Photo => photo(canvas, photos, rng),
        Material::Sheet => {
            if rng.random_bool(0.4) {
                wood(canvas, rng);
            } else {
                photo(canvas, photos, rng);
            }
            sheet(canvas, frame, rng);
        }
    }
}

/// Fills the frame with a random cut of a random photograph, perhaps mirrored or dimmed.
pub(crate) fn photo(canvas: &mut Canvas, photos: &[Canvas], rng: &mut impl Rng) {
    if photos.is_empty() {
        return paper(canvas, true, rng);
    }
    let source = &photos[rng.random_range(0..photos.len())];
    let (sw, sh) = (source.width as f32, source.height as f32);
    let fit = (sw / canvas.width as f32).min(sh / canvas.height as f32);
    let zoom = fit * rng.random_range(0.35..1.0f32);
    let (w, h) = (canvas.width as f32 * zoom, canvas.height as f32 * zoom);
    let (x0, y0) = (
        rng.random_range(0.0..=(sw - w).max(0.0)),
        rng.random_range(0.0..=(sh - h).max(0.0)),
    );
    let mirror = rng.random_bool(0.5);
    let (gain, lift) = (rng.random_range(0.7..1.15), rng.random_range(-0.05..0.15));
    canvas.paint(|x, y, _| {
        let u = if mirror { w - x * zoom } else { x * zoom };
        source
            .sample(x0 + u, y0 + y * zoom)
            .map(|v| v * gain + lift)
    });
}

/// A colour of paper: mostly white, some cream, grey, recycled, pastel or packing paper.
fn paper_colour(photographed: bool, rng: &mut impl Rng) -> Colour {
    let white = rng.random_range(if photographed { 0.85 } else { 0.95 }..1.0f32);
    let around = |rng: &mut _, c: Colour| {
        let rng: &mut _ = rng;
        c.map(|v| v + jitter(rng, 0.04))
    };
    match rng.random_range(0..30) {
        _ if !photographed && rng.random_bool(0.8) => [white, white, (white + 0.01).min(1.0)],
        0..=21 => {
            let warm = rng.random_range(-0.02..0.04f32);
            [white, white - warm * 0.4, white - warm]
        }
        22..=24 => around(rng, [0.95, 0.92, 0.82]),
        25 | 26 => around(rng, [0.82, 0.82, 0.80]),
        27 => around(rng, [0.75, 0.63, 0.47]),
        _ => [0.0; 3].map(|_| rng.random_range(0.65..1.0)),
    }
}

fn jitter(rng: &mut impl Rng, amount: f32) -> f32 {
    rng.random_range(-amount..amount)
}

fn paper(canvas: &mut Canvas, photographed: bool, rng: &mut impl Rng) {
    let colour = paper_colour(photographed, rng);
    let texture = Texture::draw(rng);
    canvas.paint(|x, y, _| texture.on(colour, x, y));
}

fn white_board(canvas: &mut Canvas, rng: &mut impl Rng) {
    let base = rng.random_range(0.8..0.97);
    let tint = [base - jitter(rng, 0.03), base, base + jitter(rng, 0.03)];
    let smear = rng.random_range(0.0..0.08);
    let (seed, angle): (u32, f32) = (rng.random(), rng.random_range(0.0..3.2));
    let (s, c) = angle.sin_cos();
    canvas.paint(|x, y, _| {
        let (u, v) = (x * c + y * s, y * c - x * s);
        let trace = value_noise(u * 0.012, v * 0.06, seed) - 0.5;
        tint.map(|t| t + trace * smear)
    });
}

fn black_board(canvas: &mut Canvas, rng: &mut impl Rng) {
    let dark = rng.random_range(0.08..0.28);
    let green = rng.random_range(0.0..0.14);
    let colour = [dark, dark + green, dark + green * 0.6];
    let dust = rng.random_range(0.02..0.14);
    let seed: u32 = rng.random();
    canvas.paint(|x, y, _| {
        let cloud = value_noise(x * 0.02, y * 0.03, seed) * 0.7
            + value_noise(x * 0.3, y * 0.07, seed) * 0.3;
        colour.map(|v| v + cloud * dust)
    });
}

/// A wooden or painted desk.
fn wood(canvas: &mut Canvas, rng: &mut impl Rng) {
    let base = match rng.random_range(0..4) {
        0 => [0.45, 0.30, 0.18],
        1 => [0.72, 0.56, 0.38],
        2 => [0.25, 0.22, 0.20],
        _ => [0.0; 3].map(|_| rng.random_range(0.15..0.85)),
    };
    let (strength, seed): (f32, u32) = (rng.random_range(0.02..0.2), rng.random());
    let (s, c) = rng.random_range(-0.5..2.0f32).sin_cos();
    canvas.paint(|x, y, _| {
        let (u, v) = (x * c + y * s, y * c - x * s);
        let ring =
            value_noise(u * 0.008, v * 0.09, seed) + 0.5 * value_noise(u * 0.05, v * 0.4, seed);
        base.map(|b| b + (ring - 0.75) * strength)
    });
}

/// Lays a sheet of paper, with a soft shadow, on what is there.
fn sheet(canvas: &mut Canvas, frame: &Frame, rng: &mut impl Rng) {
    let colour = paper_colour(true, rng);
    let texture = Texture::draw(rng);
    let back = frame.map.inverse();
    let area = frame.sheet;
    let (dx, dy) = (jitter(rng, 5.0), jitter(rng, 5.0));
    let depth = rng.random_range(0.1..0.5);
    let inside = |x: f32, y: f32, soft: f32| {
        let (u, v) = back.apply(x, y);
        let edge = (u - area.left)
            .min(area.right - u)
            .min(v - area.top)
            .min(area.bottom - v);
        (edge / soft + 0.5).clamp(0.0, 1.0)
    };
    canvas.paint(|x, y, below| {
        let mut out = below.map(|v| v * (1.0 - depth * inside(x - dx, y - dy, 8.0)));
        let cover = inside(x, y, 1.2);
        if cover > 0.0 {
            blend(&mut out, texture.on(colour, x, y), cover);
        }
        out
    });
}

/// Grain, fibres and stains of a surface.
struct Texture {
    grain: f32,
    cloud: f32,
    pitch: f32,
    seed: u32,
}

impl Texture {
    fn draw(rng: &mut impl Rng) -> Self {
        let rough = rng.random_bool(0.2);
        Self {
            grain: rng.random_range(0.0..0.03) * if rough { 2.5 } else { 1.0 },
            cloud: rng.random_range(0.0..0.05) * if rough { 2.0 } else { 1.0 },
            pitch: rng.random_range(0.01..0.12),
            seed: rng.random(),
        }
    }

    fn on(&self, colour: Colour, x: f32, y: f32) -> Colour {
        let fine = hash01(x as i32, y as i32, self.seed) - 0.5;
        let wide = value_noise(x * self.pitch, y * self.pitch, self.seed) - 0.5;
        colour.map(|v| v + fine * self.grain + wide * self.cloud)
    }
}
